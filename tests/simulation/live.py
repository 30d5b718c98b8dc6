"""The simulated PostgreSQL in real time, on whatever loop is running: so that the log's contract can be put to it.

Invariant: the same statements with the same effects as in a history; only the waiting is real, and short.
"""

from __future__ import annotations

import asyncio
import random
from contextvars import Context
from typing import Any

from tests.simulation.connection import Link
from tests.simulation.database import Database
from tests.simulation.kernel import Kernel, SimulatedLoop
from tests.simulation.ledger import Ledger
from tests.simulation.server import Server


class LiveLoop(SimulatedLoop):
    """Hands everything on to the running loop."""

    def call_soon(self, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        return asyncio.get_running_loop().call_soon(callback, *args, context=context)

    def call_later(self, delay: float, callback: Any, *args: Any, context: Context | None = None) -> Any:  # type: ignore[override]
        return asyncio.get_running_loop().call_later(delay, callback, *args, context=context)

    def create_future(self) -> asyncio.Future[Any]:
        return asyncio.get_running_loop().create_future()


class LiveKernel(Kernel):
    def loop(self, name: str) -> SimulatedLoop:
        return LiveLoop(self, name)  # type: ignore[abstract]


class LivePostgres:
    """One server; `connect` stands for `asyncpg.connect`."""

    def __init__(self) -> None:
        kernel = LiveKernel(random.Random(1), failed=_fail)
        ledger = Ledger(now=lambda: 0.0, webhooks={}, tell=lambda *_: None)
        self.server = Server(kernel, Database(ledger), random.Random(2))
        self._link = Link(kernel.loop("client"), self.server)

    async def connect(self, dsn: str, *, timeout: float, server_settings: dict[str, str]) -> Any:
        return await self.server.connect(self._link, server_settings["application_name"])


def _fail(what: str) -> None:
    raise AssertionError(what)
