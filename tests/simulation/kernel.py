"""Simulated time, and the event loops of several processes that live in it, all in one thread.

A process is killed by never running its loop again, and frozen by not running it for a while: no `finally` runs, as
in life. Time jumps to the next timer as soon as nothing is ready. Invariant: what runs next depends on the kernel's
chance alone, so a seed is a history.
"""

from __future__ import annotations

import asyncio
import heapq
import random
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from typing import Any

EPOCH_S = 1_750_000_000.0
"""The Unix time at which every history begins."""


class Stuck(Exception):
    """Nothing is left that could ever run, and what was waited for has not happened."""


class Handle:
    """One callback to run; `when` matters to those that are timers."""

    __slots__ = ("_args", "_callback", "_context", "_when", "is_cancelled")

    def __init__(self, callback: Callable[..., object], args: tuple[Any, ...], when: float, context: Context | None):
        self._callback = callback
        self._args = args
        self._context = context or copy_context()
        self._when = when
        self.is_cancelled = False

    def cancel(self) -> None:
        self.is_cancelled = True

    def cancelled(self) -> bool:
        return self.is_cancelled

    def when(self) -> float:
        return self._when

    def run(self) -> None:
        self._context.run(self._callback, *self._args)


class SimulatedLoop(asyncio.AbstractEventLoop):
    """As much of an event loop as tasks, futures, timeouts and sleeps need: no threads, no sockets."""

    def __init__(self, kernel: Kernel, name: str) -> None:
        self.name = name
        self.ready: deque[Handle] = deque()
        self.timers: list[tuple[float, int, Handle]] = []
        self.tasks: list[asyncio.Task[Any]] = []
        self.runs = True
        self.fuse: int | None = None
        """Of a loop that is being killed: how many callbacks it still gets to run."""
        self.blown: Callable[[], None] = lambda: None
        self._kernel = kernel

    def time(self) -> float:
        return self._kernel.now

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        handle = Handle(callback, args, self._kernel.now, context)
        self.ready.append(handle)
        return handle

    def call_at(self, when: float, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        handle = Handle(callback, args, when, context)
        heapq.heappush(self.timers, (when, self._kernel.count(), handle))
        return handle

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        return self.call_at(self._kernel.now + delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.Future(loop=self)

    def create_task(self, coro: Any, *, name: str | None = None, context: Context | None = None) -> asyncio.Task[Any]:
        task: asyncio.Task[Any] = asyncio.Task(coro, loop=self, name=name, context=context)
        self.tasks.append(task)
        return task

    def get_debug(self) -> bool:
        return False

    def is_running(self) -> bool:
        return True

    def is_closed(self) -> bool:
        return False

    def call_exception_handler(self, context: dict[str, Any]) -> None:
        self._kernel.failed(f"{self.name}: {context.get('message')}: {context.get('exception')!r}")


class Kernel:
    """Runs the loops' callbacks one after the other. `failed` is told of every exception that nobody handled."""

    def __init__(self, chance: random.Random, *, failed: Callable[[str], None]) -> None:
        self.now = 0.0
        self.failed = failed
        self.steps = 0
        self._chance = chance
        self._loops: list[SimulatedLoop] = []
        self._counted = 0

    def count(self) -> int:
        self._counted += 1
        return self._counted

    def wall_s(self) -> float:
        return EPOCH_S + self.now

    def loop(self, name: str) -> SimulatedLoop:
        made = SimulatedLoop(self, name)  # type: ignore[abstract]
        self._loops.append(made)
        return made

    def drop(self, loop: SimulatedLoop) -> None:
        """Never run this loop again."""
        loop.runs = False
        self._loops.remove(loop)

    def run(self, until: Callable[[], bool]) -> None:
        """Run until it holds; raises `Stuck` where nothing can happen any more."""
        try:
            while not until():
                self._step()
        finally:
            asyncio._set_running_loop(None)

    def _step(self) -> None:
        self.steps += 1
        ready = [loop for loop in self._loops if loop.ready and loop.runs]
        if not ready:
            self._jump()
            return
        loop = ready[0] if len(ready) == 1 else ready[int(self._chance.random() * len(ready))]
        asyncio._set_running_loop(loop)
        for _ in range(len(loop.ready)):
            if loop.fuse is not None:
                if loop.fuse == 0:
                    self.drop(loop)
                    loop.blown()
                    return
                loop.fuse -= 1
            handle = loop.ready.popleft()
            if not handle.is_cancelled:
                self._call(loop, handle)
            if not loop.runs:
                return

    def _call(self, loop: SimulatedLoop, handle: Handle) -> None:
        try:
            handle.run()
        except Exception as error:
            self.failed(f"{loop.name}: {error!r}")

    def _jump(self) -> None:
        """Let time pass until the next timer of a loop that runs; a frozen one's timers are late, not lost."""
        next_at: float | None = None
        for loop in self._loops:
            if loop.runs:
                timers = loop.timers
                while timers and timers[0][2].is_cancelled:
                    heapq.heappop(timers)
                if timers and (next_at is None or timers[0][0] < next_at):
                    next_at = timers[0][0]
        if next_at is None:
            raise Stuck("nothing is left to run")
        self.now = max(self.now, next_at)
        for loop in self._loops:
            if loop.runs:
                timers = loop.timers
                while timers and timers[0][0] <= self.now:
                    handle = heapq.heappop(timers)[2]
                    if not handle.is_cancelled:
                        loop.ready.append(handle)

    def bury(self, loops: list[SimulatedLoop]) -> None:
        """End every task of these loops after the history is over, so that none is found pending and complained of."""
        self.failed = lambda _: None
        for loop in loops:
            asyncio._set_running_loop(loop)
            for _ in range(4):
                left = [task for task in loop.tasks if not task.done()]
                for task in left:
                    task.cancel()
                while loop.ready:
                    handle = loop.ready.popleft()
                    if not handle.is_cancelled:
                        self._call(loop, handle)
                if not left:
                    break
            loop.timers.clear()
        asyncio._set_running_loop(None)
