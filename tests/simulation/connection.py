"""The client's end of the simulated database: the network, and what stands for an asyncpg connection.

Invariant: an answer that was under way when the connection was lost or given up is never seen.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import asyncpg

from tests.simulation.database import Rows
from tests.simulation.kernel import SimulatedLoop

if TYPE_CHECKING:
    from tests.simulation.backend import Backend
    from tests.simulation.server import Server


class Link:
    """The network between one process and the server: it delays, and while it is cut it holds back."""

    def __init__(self, client: SimulatedLoop, server: Server) -> None:
        self.client = client
        self._server = server
        self._held: list[tuple[SimulatedLoop, Callable[[], None]]] | None = None

    @property
    def is_cut(self) -> bool:
        return self._held is not None

    def cut(self) -> None:
        if self._held is None:
            self._held = []

    def mend(self) -> None:
        held, self._held = self._held or [], None
        for loop, message in held:
            loop.call_soon(message)

    def up(self, message: Callable[[], None], after_s: float = 0.0) -> None:
        self._carry(self._server.loop, message, after_s)

    def down(self, message: Callable[[], None], after_s: float = 0.0) -> None:
        self._carry(self.client, message, after_s)

    def _carry(self, loop: SimulatedLoop, message: Callable[[], None], after_s: float) -> None:
        if self._held is not None:
            self._held.append((loop, message))
        elif after_s:
            loop.call_later(after_s, message)
        else:
            loop.call_soon(message)


class Connection:
    """The client's end: as much of an asyncpg connection as `gateway.store.session` uses."""

    def __init__(self, server: Server, link: Link) -> None:
        self.link = link
        self.backend: Backend | None = None
        self._server = server
        self._is_closed = False
        self._answer: asyncio.Future[Rows] | None = None

    def is_closed(self) -> bool:
        return self._is_closed

    def get_server_pid(self) -> int:
        assert self.backend is not None
        return self.backend.pid

    async def prepare(self, statement: str) -> Prepared:
        return Prepared(self, statement)

    async def fetch(self, statement: str, args: Sequence[Any], timeout_s: float) -> Rows:
        if self._is_closed:
            raise asyncpg.InterfaceError("the connection is closed")
        backend, answer = self.backend, self.link.client.create_future()
        assert backend is not None
        self._answer = answer

        def reply(rows: Rows | Exception) -> None:
            if isinstance(rows, Exception):
                self.link.down(lambda: fail(answer, rows), self._server.latency_s())
            else:
                self.link.down(lambda: finish(answer, rows), self._server.latency_s())

        self.link.up(lambda: backend.execute(statement, args, reply), self._server.latency_s())
        timeout = self.link.client.call_later(timeout_s, fail, answer, TimeoutError())
        try:
            found: Rows = await answer
            return found
        finally:
            timeout.cancel()

    def lost(self) -> None:
        self._is_closed = True
        if self._answer is not None:
            fail(self._answer, ConnectionResetError("the connection was lost"))

    def terminate(self) -> None:
        self._is_closed = True

        def hang_up() -> None:
            if self.backend is not None:
                self.backend.hang_up()

        self.link.up(hang_up, self._server.latency_s())

    async def close(self, *, timeout: float) -> None:
        self.terminate()


class Prepared:
    def __init__(self, connection: Connection, statement: str) -> None:
        self._connection = connection
        self._statement = statement

    async def fetch(self, *args: Any, timeout: float) -> Rows:
        return await self._connection.fetch(self._statement, args, timeout)


def finish(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)


def fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
