"""The intake on a log in memory: batches, deadlines, doubt, and who is told what."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest

from gateway.clock import Clock
from gateway.errors import Fenced, Problem, Unavailable
from gateway.ids import IdSource
from gateway.ingress import intake as intake_module
from gateway.ingress.intake import Intake
from gateway.log import OutcomeUnknown
from gateway.model import Event
from gateway.routing import Routing
from gateway.telemetry.metrics import Metrics
from tests.memory_log import Fault, MemoryLog

AWAY = Unavailable("the database is away")
UNKNOWN = OutcomeUnknown("the connection was lost during the commit")


class Door:
    """An intake with its loop, and what it has handed on."""

    def __init__(self, log: MemoryLog) -> None:
        self.log = log
        self.dispatched: list[str] = []
        self.batches: list[int] = []
        self.offset_s = 0.0
        self.intake = Intake(
            log,
            routing=Routing(),
            ids=IdSource(),
            dispatch=self._dispatch,
            metrics=Metrics(version="0"),
            clock=Clock(monotonic_s=lambda: time.monotonic() + self.offset_s),
        )

    def _dispatch(self, events: Sequence[Event], accepted_at: Sequence[float]) -> None:
        assert len(events) == len(accepted_at)
        self.dispatched += [event.id for event in events]
        self.batches.append(len(events))

    def push(self, payload: bytes = b"{}", **more: Any) -> asyncio.Future[tuple[str, bool]]:
        fields: dict[str, Any] = {"tenant_id": 1, "type": "call.created", "call_key": None, "account_id": None, **more}
        return self.intake.submit(payload=payload, **fields)


@asynccontextmanager
async def opened(log: MemoryLog | None = None) -> AsyncIterator[Door]:
    door = Door(log or MemoryLog())
    loop = asyncio.create_task(door.intake.run())
    try:
        async with asyncio.timeout(10):
            yield door
    finally:
        loop.cancel()
        await asyncio.gather(loop, return_exceptions=True)


async def test_a_push_is_answered_after_its_commit_and_handed_on_once() -> None:
    async with opened() as door:
        commit = door.log.hold("append")
        answer = door.push()
        await asyncio.sleep(0.01)
        assert not answer.done() and door.dispatched == []
        commit.set()
        event_id, duplicate = await answer
        assert not duplicate and door.dispatched == [event_id] == list(door.log.events)


async def test_what_gathers_during_a_commit_is_committed_together_in_the_order_of_the_pushes() -> None:
    async with opened() as door:
        commit = door.log.hold("append")
        first = door.push()
        await asyncio.sleep(0)
        rest = [door.push() for _ in range(50)]
        commit.set()
        ids = [event_id for event_id, _ in await asyncio.gather(first, *rest)]
        assert door.dispatched == ids == sorted(ids)
        assert len(door.batches) <= 2


async def test_one_bad_row_is_refused_and_the_good_ones_beside_it_are_accepted_in_order() -> None:
    async with opened() as door:
        answers = [door.push(b"bad row" if place == 5 else b"{}") for place in range(9)]
        results = await asyncio.gather(*answers, return_exceptions=True)
        assert isinstance(results[5], Problem) and results[5].status == 422
        good = [result[0] for result in results if isinstance(result, tuple)]
        assert door.dispatched == good == sorted(good) and len(good) == 8


async def test_the_same_key_twice_at_the_same_time_is_one_event() -> None:
    async with opened() as door:
        answers = [door.push(key="k", digest=b"1"), door.push(key="k", digest=b"1"), door.push(key="k", digest=b"2")]
        first, second, other = await asyncio.gather(*answers, return_exceptions=True)
        assert isinstance(first, tuple) and second == (first[0], True)
        assert isinstance(other, Problem) and other.type == "idempotency-key-reused"
        assert door.dispatched == [first[0]]


async def test_a_commit_whose_answer_was_lost_is_repeated_with_the_same_ids() -> None:
    async with opened() as door:
        door.log.faults["append"].append(Fault(UNKNOWN, applied=True))
        event_id, duplicate = await door.push(key="k", digest=b"1")
        assert not duplicate and door.dispatched == [event_id] == list(door.log.events)


async def test_a_push_is_refused_at_once_while_the_store_is_away_and_taken_when_it_is_back() -> None:
    async with opened() as door:
        door.log.faults["append"].append(Fault(AWAY))
        back = door.log.hold("existing")
        waiting = door.push()
        await asyncio.sleep(0.2)
        assert not door.intake.is_open
        with pytest.raises(Unavailable):
            door.push()
        back.set()
        event_id, _ = await waiting
        assert door.dispatched == [event_id] and door.intake.is_open


async def test_past_its_deadline_a_push_is_told_503_and_leaves_nothing_behind() -> None:
    async with opened() as door:
        door.log.faults["append"].append(Fault(AWAY))
        back = door.log.hold("existing")
        answer = door.push()
        await asyncio.sleep(0.01)
        door.offset_s += 10.0
        with pytest.raises(Unavailable):
            await answer
        back.set()
        event_id, _ = await _accepted(door)
        assert list(door.log.events) == [event_id] == door.dispatched


async def test_what_was_told_503_and_turns_out_to_be_committed_is_delivered_and_a_second_push_knows_it() -> None:
    async with opened() as door:
        door.log.faults["append"].append(Fault(UNKNOWN, applied=True))
        back = door.log.hold("existing")
        answer = door.push(key="k", digest=b"1")
        await asyncio.sleep(0.01)
        door.offset_s += 10.0
        with pytest.raises(Unavailable):
            await answer
        back.set()
        again, duplicate = await _accepted(door, key="k", digest=b"1")
        assert duplicate and door.dispatched == [again] == list(door.log.events)


async def test_a_store_that_refuses_at_once_is_not_asked_without_a_pause() -> None:
    async with opened() as door:
        door.log.faults["append"].extend(Fault(Unavailable("disk full")) for _ in range(3))
        started = time.monotonic()
        await door.push()
        assert time.monotonic() - started >= 3 * intake_module.RECONNECT_S


async def test_a_batch_that_waited_behind_a_slow_commit_has_time_for_its_own() -> None:
    async with opened() as door:
        commit = door.log.hold("append")
        door.push()
        await asyncio.sleep(0.01)
        late = door.push()
        door.offset_s += intake_module.DEADLINE_S - 0.01
        commit.set()
        door.log.latency_s = 0.1
        event_id, _ = await late
        assert event_id in door.dispatched and door.intake.is_open


async def test_a_full_intake_refuses_and_keeps_what_it_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(intake_module, "WAITING_EVENTS", 3)
    async with opened() as door:
        commit = door.log.hold("append")
        answers = [door.push()]
        await asyncio.sleep(0.01)
        answers += [door.push() for _ in range(3)]
        with pytest.raises(Unavailable, match="full"):
            door.push()
        commit.set()
        assert len(await asyncio.gather(*answers)) == 4


async def test_a_closed_intake_refuses_and_is_drained_when_what_waited_is_committed() -> None:
    async with opened() as door:
        commit = door.log.hold("append")
        answer = door.push()
        door.intake.close("the gateway is stopping")
        with pytest.raises(Unavailable, match="stopping"):
            door.push()
        drained = asyncio.create_task(door.intake.drained())
        await asyncio.sleep(0.01)
        assert not drained.done()
        commit.set()
        await drained
        assert answer.done()


async def test_a_lost_fence_ends_the_loop_answers_who_waits_and_lets_nobody_wait_for_the_drain() -> None:
    log = MemoryLog()
    log.is_fenced = True
    door = Door(log)
    loop = asyncio.create_task(door.intake.run())
    answer = door.push()
    with pytest.raises(Fenced):
        await loop
    with pytest.raises(Unavailable):
        await answer
    with pytest.raises(Unavailable):
        door.push()
    await asyncio.wait_for(door.intake.drained(), 1)
    assert door.dispatched == [] and not log.events


async def test_a_caller_that_went_away_changes_nothing_for_the_others() -> None:
    async with opened() as door:
        commit = door.log.hold("append")
        gone, stays = door.push(), door.push()
        gone.cancel()
        commit.set()
        event_id, _ = await stays
        assert len(door.dispatched) == 2 and event_id == door.dispatched[1]


async def _accepted(door: Door, **more: Any) -> tuple[str, bool]:
    """Pushed again and again, as a switch does, until it is taken."""
    while True:
        try:
            return await door.push(**more)
        except Unavailable:
            await asyncio.sleep(0.01)
