"""The simulated PostgreSQL server: its processes, its lock, and what goes wrong on the way to it and back.

A statement that has reached the server goes on there, whatever becomes of the client: it commits late, or after its
client has given up, unless its backend is ended first. Invariant: a backend that is gone commits nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import asyncpg

from gateway.ids import ZERO_ID
from gateway.store import ownership as own
from gateway.store import statements as sql
from tests.simulation.database import READS, WRITES, Database, Rows
from tests.simulation.kernel import Kernel, SimulatedLoop

DYING_S = 0.03
RESTART_S = 0.3


@dataclass(slots=True)
class Weather:
    """How the server is doing. The shares are chances for each statement."""

    latency_s: float = 0.001
    lost_before: float = 0.0
    lost_after: float = 0.0
    stalled: float = 0.0
    refused: float = 0.0


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


class Server:
    def __init__(self, kernel: Kernel, database: Database, chance: Random) -> None:
        self.kernel = kernel
        self.loop = kernel.loop("database")
        self.database = database
        self.chance = chance
        self.weather = Weather()
        self.backends: dict[int, Backend] = {}
        self.lock_pid: int | None = None
        self.started_at = float("-inf")
        self.refuses = False
        self._pids = 0

    def latency_s(self) -> float:
        return self.chance.expovariate(1.0) * self.weather.latency_s

    async def connect(self, link: Link, name: str) -> Connection:
        """As `asyncpg.connect` does; the caller bounds how long."""
        connection = Connection(self, link)
        connected: asyncio.Future[None] = link.client.create_future()

        def accept() -> None:
            if self.refuses:
                link.down(lambda: _fail(connected, ConnectionRefusedError("the server is not there")))
            else:
                self._pids += 1
                backend = self.backends[self._pids] = Backend(self, self._pids, name, connection)
                connection.backend = backend
                link.down(lambda: _finish(connected, None))

        link.up(accept, self.latency_s())
        try:
            await connected
        except asyncio.CancelledError:
            connection.terminate()
            raise
        return connection

    def restart(self) -> None:
        """All backends end at once; a statement that was under way may have been committed all the same."""
        for backend in list(self.backends.values()):
            backend.end(commits=self.chance.random() < 0.5)
        self.refuses = True
        self.loop.call_later(RESTART_S, self._restarted)

    def _restarted(self) -> None:
        self.refuses = False
        self.started_at = self.kernel.now

    def client_died(self, link: Link) -> None:
        for backend in list(self.backends.values()):
            if backend.connection.link is link:
                self.loop.call_later(self.latency_s(), backend.hang_up)

    # --- the statements of ownership, and those about backends -------------------------------------------------

    def run(self, backend: Backend, statement: str, args: Sequence[Any]) -> Rows:
        """What has no snapshot: it acts on the server, or on the row of the shards as that is at the commit."""
        rows: Rows = getattr(self, _OWN[statement])(backend, args)
        return rows

    def _try_lock(self, backend: Backend, args: Sequence[Any]) -> Rows:
        if self.lock_pid is None:
            self.lock_pid = backend.pid
        return [{"held": self.lock_pid == backend.pid}]

    def _end_lock_holder(self, backend: Backend, args: Sequence[Any]) -> Rows:
        return self._terminate([each for each in self.backends.values() if each.pid == self.lock_pid])

    def _end_connections(self, backend: Backend, args: Sequence[Any]) -> Rows:
        return self._terminate(
            [each for each in self.backends.values() if each.name == args[0] and each is not backend]
        )

    def _end_backend(self, backend: Backend, args: Sequence[Any]) -> Rows:
        return self._terminate([each for each in self.backends.values() if each.pid == args[0]])

    def _terminate(self, backends: Sequence[Backend]) -> Rows:
        for each in backends:
            each.terminate()
        return [{} for _ in backends]

    def _state(self, backend: Backend, args: Sequence[Any]) -> Rows:
        db = self.database
        return [
            {
                "owner": db.owner,
                "epoch": db.epoch,
                "expired": db.expires_at < self.kernel.now,
                "watermark": db.watermark,
                "restarted": self.kernel.now - self.started_at < args[0],
            }
        ]

    def _take(self, backend: Backend, args: Sequence[Any]) -> Rows:
        db = self.database
        db.owner, db.epoch, db.expires_at = args[0], db.epoch + 1, self.kernel.now + args[1]
        return [{"epoch": db.epoch, "watermark": db.watermark}]

    def _renew(self, backend: Backend, args: Sequence[Any]) -> Rows:
        db = self.database
        if not db.fence_holds(args):
            return []
        db.expires_at = self.kernel.now + args[2]
        if args[3] > db.watermark:
            db.watermark = args[3]
            db.ledger.watermark_moved(db.watermark, unsettled=self._unsettled())
        return [{"id": 0}]

    def _unsettled(self) -> list[tuple[str, str]]:
        """What the watermark must not have passed."""
        db = self.database
        passed = [row for row in db.read_unsettled((ZERO_ID, len(db.events))) if row["id"] <= db.watermark]
        return [(row["id"], webhook_id) for row in passed for webhook_id in row["open_ids"]]

    def _release(self, backend: Backend, args: Sequence[Any]) -> Rows:
        db = self.database
        if db.fence_holds(args):
            db.owner, db.expires_at = None, float("-inf")
        return []


_OWN: dict[str, str] = {
    own._TRY_LOCK: "_try_lock",
    own._STATE: "_state",
    own._END_LOCK_HOLDER: "_end_lock_holder",
    own._TAKE: "_take",
    own._END_CONNECTIONS: "_end_connections",
    own._RENEW: "_renew",
    own._RELEASE: "_release",
    sql.END_BACKEND: "_end_backend",
}


class Backend:
    """A server process: one client's, one statement at a time."""

    def __init__(self, server: Server, pid: int, name: str, connection: Connection) -> None:
        self.pid = pid
        self.name = name
        self.connection = connection
        self._server = server
        self._commit: Callable[[], None] | None = None
        self._is_abandoned = False

    @property
    def is_alive(self) -> bool:
        return self.pid in self._server.backends

    def execute(self, statement: str, args: Sequence[Any], reply: Callable[[Rows | Exception], None]) -> None:
        """Take the snapshot now, commit later; what can go wrong is drawn here."""
        server = self._server
        if not self.is_alive:
            return
        weather, fate = server.weather, server.chance.random()
        if fate < weather.lost_before:
            self.end()
            return
        if fate < weather.lost_before + weather.refused:
            reply(asyncpg.DiskFullError("no space left on device"))
            return
        snapshot: Any = None
        if statement in READS:
            snapshot = READS[statement](server.database, args)
        elif statement in WRITES:
            snapshot = server.database.fence_holds(args)
        delay_s = server.latency_s()
        if server.chance.random() < weather.stalled:
            delay_s += server.chance.uniform(0.2, 6.0)
        loses_answer = server.chance.random() < weather.lost_after

        def commit() -> None:
            self._commit = None
            if not self.is_alive:
                return
            answer = self._effect(statement, args, snapshot)
            if loses_answer:
                self.end()
            else:
                reply(answer)
                if self._is_abandoned:
                    self.end()

        self._commit = commit
        server.loop.call_later(delay_s, commit)

    def _effect(self, statement: str, args: Sequence[Any], snapshot: Any) -> Rows | Exception:
        if statement in READS:
            rows: Rows = snapshot
            return rows
        try:
            if statement in WRITES:
                changed: Rows = getattr(self._server.database, WRITES[statement])(args, snapshot)
                return changed
            return self._server.run(self, statement, args)
        except asyncpg.PostgresError as error:
            return error

    def terminate(self) -> None:
        """It ends soon; until then it may still commit."""
        self._server.loop.call_later(self._server.chance.random() * DYING_S, self.end)

    def hang_up(self) -> None:
        """The client is gone: noticed when there is nothing (more) to do."""
        self._is_abandoned = True
        if self._commit is None:
            self.end()

    def end(self, *, commits: bool = False) -> None:
        if not self.is_alive:
            return
        if commits and self._commit is not None:
            self._commit()
        self._server.backends.pop(self.pid, None)
        if self._server.lock_pid == self.pid:
            self._server.lock_pid = None
        self.connection.link.down(self.connection.lost)


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
                self.link.down(lambda: _fail(answer, rows), self._server.latency_s())
            else:
                self.link.down(lambda: _finish(answer, rows), self._server.latency_s())

        self.link.up(lambda: backend.execute(statement, args, reply), self._server.latency_s())
        async with asyncio.timeout(timeout_s):
            found: Rows = await answer
            return found

    def lost(self) -> None:
        self._is_closed = True
        if self._answer is not None:
            _fail(self._answer, ConnectionResetError("the connection was lost"))

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


def _finish(future: asyncio.Future[Any], value: Any) -> None:
    if not future.done():
        future.set_result(value)


def _fail(future: asyncio.Future[Any], error: Exception) -> None:
    if not future.done():
        future.set_exception(error)
