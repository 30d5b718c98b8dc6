"""The real `PostgresLog` on the simulated server, in the few situations that a history rarely has.

Each test is an incident that the simulation found.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine, Sequence
from datetime import UTC, datetime
from typing import Any

import pytest

from gateway.clock import Clock
from gateway.log import DeliveryRow, NewEvent, OutcomeUnknown
from gateway.model import DeliveryState, Event
from gateway.store.log import PostgresLog
from gateway.store.ownership import Ownership
from tests.simulation.connection import Link
from tests.simulation.database import Database, Rows
from tests.simulation.kernel import Kernel
from tests.simulation.ledger import Ledger
from tests.simulation.server import Server, Weather

HOOK = "00000000-0000-7000-8000-00000000000a"


class RefusesAfterAppends(Database):
    """The disk is full from the first append with a key on."""

    server: Server

    def append_keyed(self, args: Sequence[Any], fenced_in: bool) -> Rows:
        self.server.weather = Weather(refused=1.0)
        return super().append_keyed(args, fenced_in)


class Bench:
    """One process's log, owned, on a server of its own."""

    def __init__(self, database: type[Database] = Database) -> None:
        self.kernel = Kernel(random.Random(1), failed=pytest.fail)
        ledger = Ledger(now=lambda: self.kernel.now, webhooks={}, tell=lambda *_: None)
        self.database = database(ledger)
        self.server = Server(self.kernel, self.database, random.Random(2))
        self.loop = self.kernel.loop("process")
        self.link = Link(self.loop, self.server)

    def run(self, test: Callable[[PostgresLog], Coroutine[Any, Any, None]]) -> None:
        task = self.loop.create_task(self._owning(test))
        self.kernel.run(task.done)
        task.result()

    async def _owning(self, test: Callable[[PostgresLog], Coroutine[Any, Any, None]]) -> None:
        clock = Clock(self.loop.time, self.kernel.wall_s)
        ownership = Ownership("", owner="one", clock=clock, connect=self._connect)
        await ownership.own()
        await test(PostgresLog("", fence=ownership.fence, write_timeout_s=0.5, connect=self._connect))

    async def _connect(self, dsn: str, *, timeout: float, server_settings: dict[str, str]) -> Any:
        return await self.server.connect(self.link, server_settings["application_name"])


def new(id: str, key: str | None) -> NewEvent:
    return NewEvent(Event(id, 1, "call.created", None, None, b"{}", (HOOK,)), 0, key, b"digest")


def row(event_id: str) -> DeliveryRow:
    now = datetime.now(UTC)
    return DeliveryRow(HOOK, event_id, 0, None, DeliveryState.QUEUED, 0, 0, next_at=now, wait_until=None)


def test_an_append_after_which_a_question_is_refused_is_undecided() -> None:
    bench = Bench(RefusesAfterAppends)
    assert isinstance(bench.database, RefusesAfterAppends)
    bench.database.server = bench.server

    async def test(log: PostgresLog) -> None:
        with pytest.raises(OutcomeUnknown):
            await log.append([new("a", "key"), new("b", "key")])
        bench.server.weather = Weather()
        assert await log.existing(["a", "b"]) == {"a"}

    bench.run(test)


def test_what_the_recorder_gave_up_is_not_committed_after_what_it_did_next() -> None:
    bench = Bench()

    async def test(log: PostgresLog) -> None:
        await log.append([new("a", None)])
        bench.server.weather = Weather(stalled=1.0)
        with pytest.raises(OutcomeUnknown):
            await log.record([], changed=[row("a")])
        bench.server.weather = Weather()
        await log.record([], changed=[row("a")])
        await log.record([], removed=[(HOOK, "a")])
        await asyncio.sleep(10.0)
        assert bench.database.rows == {}

    bench.run(test)
