"""A server process of the simulated PostgreSQL: one client's, with one statement at a time.

Invariant: what is gone commits nothing; until it is gone it may, whatever has become of its client.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import asyncpg

from tests.simulation.connection import Connection
from tests.simulation.database import READS, WRITES, Rows

if TYPE_CHECKING:
    from tests.simulation.server import Server

DYING_S = 0.03


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
            snapshot = getattr(server.database, READS[statement])(args)
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
