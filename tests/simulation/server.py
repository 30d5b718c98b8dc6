"""The simulated PostgreSQL server: who is connected, who holds the lock, and how it is doing.

A statement that has reached the server goes on there, whatever becomes of the client: it commits late, or after its
client has given up, unless its backend is ended first. Invariant: the lock is free as soon as its holder is gone.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from random import Random
from typing import Any

from gateway.ids import ZERO_ID
from gateway.store import ownership as own
from gateway.store import statements as sql
from tests.simulation.backend import Backend
from tests.simulation.connection import Connection, Link, fail, finish
from tests.simulation.database import Database, Rows
from tests.simulation.kernel import Kernel

RESTART_S = 0.3


@dataclass(slots=True)
class Weather:
    """How the server is doing. The shares are chances for each statement."""

    latency_s: float = 0.001
    lost_before: float = 0.0
    lost_after: float = 0.0
    stalled: float = 0.0
    refused: float = 0.0


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
                link.down(lambda: fail(connected, ConnectionRefusedError("the server is not there")))
            else:
                self._pids += 1
                backend = self.backends[self._pids] = Backend(self, self._pids, name, connection)
                connection.backend = backend
                link.down(lambda: finish(connected, None))

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
        return self._terminate([each for each in self.backends.values() if like(each.name, args[0])])

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
        db.ledger.lease_until[args[0]] = db.expires_at
        return [{"epoch": db.epoch, "watermark": db.watermark}]

    def _renew(self, backend: Backend, args: Sequence[Any]) -> Rows:
        db = self.database
        if not db.fence_holds(args):
            return []
        db.expires_at = db.ledger.lease_until[args[0]] = self.kernel.now + args[2]
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


def like(name: str, pattern: str) -> bool:
    """SQL's, as far as it is used: % stands for anything."""
    return fnmatchcase(name, pattern.replace("%", "*"))
