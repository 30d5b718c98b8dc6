"""The recorder: order, repetition, splitting, and what a lost fence means."""

from __future__ import annotations

import asyncio

import pytest

from gateway.delivery.limits import Limits
from gateway.errors import Fenced, Unavailable
from gateway.log import BadRow, OutcomeUnknown
from gateway.model import ErrorKind, Outcome
from tests.memory_log import Fault, MemoryLog
from tests.unit.delivery.rig import Rig, running, until, webhook

UNKNOWN = OutcomeUnknown("the connection was lost during the commit")


async def test_a_delivery_is_settled_after_the_commit_and_not_before() -> None:
    async with running() as rig:
        writing = rig.log.hold("record")
        event_id = rig.accept()
        rig.end(event_id)
        await asyncio.sleep(0.01)
        assert rig.engine.watermark < event_id
        writing.set()
        await rig.recorded()
        assert rig.engine.watermark == event_id


@pytest.mark.parametrize("applied", [True, False])
async def test_a_commit_that_failed_is_repeated_and_counts_once(applied: bool) -> None:
    async with running() as rig:
        rig.log.faults["record"].append(Fault(UNKNOWN, applied=applied))
        ids = [rig.accept("1"), rig.accept("2")]
        rig.end(ids[0])
        rig.fail(ids[1])
        await rig.recorded()
        assert len(rig.log.attempts) == 2 and [key[1] for key in rig.log.rows] == [ids[1]]
        assert rig.engine.watermark == ids[1]


async def test_an_attempt_that_the_store_refuses_costs_only_its_own_log_entry() -> None:
    async with running() as rig:
        ids = [rig.accept() for _ in range(4)]
        for event_id in ids[:3]:
            rig.end(event_id)
        rig.end(ids[3], Outcome(duration_us=1, error=ErrorKind.PROTOCOL, detail="a\0b"))
        await rig.recorded()
        assert {each.event_id for each in rig.log.attempts.values()} == set(ids[:3])
        assert [key[1] for key in rig.log.rows] == [ids[3]]


async def test_a_batch_that_was_split_and_then_failed_repeats_only_its_rest() -> None:
    async with running() as rig:
        ids = [rig.accept(str(place)) for place in range(4)]
        for event_id in ids[:3]:
            rig.fail(event_id)
        rig.end(ids[3], Outcome(duration_us=1, error=ErrorKind.PROTOCOL, detail="a\0b"))
        rig.log.faults["record"].extend([Fault(BadRow("a row is bad")), Fault(None), Fault(UNKNOWN)])
        await rig.recorded()
        assert len(rig.log.rows) == 4 and not rig.lane().backlog._writing


async def test_uncommitted_entries_shut_the_gate_until_half_of_them_are_committed() -> None:
    async with running(webhook(max_in_flight=100), limits=Limits(uncommitted_entries=4)) as rig:
        writing = rig.log.hold("record")
        ids = [rig.accept() for _ in range(20)]
        rig.end(ids[0])
        await until(lambda: rig.log.calls["record"])
        for event_id in ids[1:8]:
            rig.end(event_id)
        held_back = rig.accept()
        assert not rig.gate.is_open and held_back not in rig.under_way
        writing.set()
        await rig.starts(held_back)


async def test_a_lost_fence_shuts_the_gate_and_who_waits_for_the_rest_is_told() -> None:
    rig = Rig(MemoryLog())
    rig.engine.webhook_changed(webhook())
    loop = asyncio.create_task(rig.recorder.run())
    event_id, other = rig.accept("1"), rig.accept("1")
    rig.log.is_fenced = True
    rig.fail(event_id)
    with pytest.raises(Fenced):
        await loop
    with pytest.raises(Unavailable):
        await asyncio.wait_for(rig.recorder.flushed(), 1)
    assert not rig.gate.is_open and other not in rig.under_way
