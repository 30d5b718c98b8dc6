"""Where background loops are made, and where a crash of one becomes everybody's business.

Invariant: a loop that ends on its own, by an error or not, is a failure of the process: it is logged with its
name, `failed` tells the main program, which drains and exits non-zero.
"""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any

import structlog

log = structlog.get_logger(__name__)


class Loops:
    """Named tasks, stopped in the reverse order of their start."""

    def __init__(self) -> None:
        self._tasks: list[asyncio.Task[Any]] = []
        self.failed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        """The name of the first loop that ended."""

    def start(self, name: str, loop: Coroutine[Any, Any, Any]) -> None:
        task = asyncio.create_task(loop, name=name)
        self._tasks.append(task)
        task.add_done_callback(self._ended)

    async def stop(self) -> None:
        for task in reversed(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def _ended(self, task: asyncio.Task[Any]) -> None:
        if task.cancelled():
            return
        log.critical("loop_failed", loop=task.get_name(), exc_info=task.exception())
        if not self.failed.done():
            self.failed.set_result(task.get_name())
