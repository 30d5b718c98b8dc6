"""What the store said before a commit is not believed after it.

The incident: under load a retry was made twice, before its time or ahead of an earlier event of its call, because a
load had been read before the commit that its answer met.
"""

from __future__ import annotations

import asyncio

from gateway.log import DeliveryRow
from gateway.model import DeliveryState, WebhookState
from tests.unit.delivery.rig import SCHEDULE_S, Rig, running, until, webhook

ID = webhook().id


async def test_a_failure_that_is_not_written_yet_is_not_tried_again_on_the_word_of_the_old_row() -> None:
    async with running() as rig:
        event_id = rig.accept()
        rig.lane().secure(rig.clock.monotonic_s())
        rig.lane().spill()
        await rig.recorded()
        writing = rig.log.hold("record")
        rig.fail(event_id)
        await rig.looked()
        assert rig.under_way == []
        writing.set()
        await rig.recorded()
        await rig.looked()
        assert rig.sent == [(event_id, 1)]


async def test_a_success_that_was_written_while_a_load_was_on_its_way_is_not_made_again() -> None:
    async with running() as rig:
        event_id = rig.accept()
        rig.lane().secure(rig.clock.monotonic_s())
        rig.lane().spill()
        await rig.recorded()
        loading = rig.log.hold("load_due")
        await _load_begins(rig)
        rig.end(event_id)
        await rig.recorded()
        loading.set()
        await rig.looked()
        assert rig.sent == [(event_id, 1)]


async def test_an_event_does_not_pass_the_failed_one_before_it_whose_row_is_still_being_written() -> None:
    async with running() as rig:
        created = rig.accept("1")
        rig.lane().spill()
        ended = rig.accept("1")
        await rig.recorded()
        await until(lambda: rig.lane().backlog.in_memory)  # it waits behind the first one in memory again
        writing = rig.log.hold("record")
        rig.fail(created)
        await rig.looked()
        assert rig.under_way == []
        writing.set()
        rig.advance(SCHEDULE_S[0] + 0.1)
        await rig.starts(created)
        rig.end(created)
        await rig.starts(ended)


async def test_an_event_does_not_pass_one_that_was_put_away_a_moment_ago() -> None:
    async with running(webhook(max_in_flight=1)) as rig:
        first, created = rig.accept("9"), rig.accept("1")
        rig.lane().spill()
        ended = rig.accept("1")
        await rig.recorded()
        await until(lambda: rig.lane().backlog.in_memory)
        writing = rig.log.hold("record")
        rig.engine.webhook_changed(webhook(max_in_flight=1, state=WebhookState.PAUSED))
        rig.engine.webhook_changed(webhook(max_in_flight=1))
        rig.end(first)
        await rig.looked(1)
        assert rig.under_way == []
        writing.set()
        await rig.starts(created)
        rig.end(created)
        await rig.starts(ended)


async def test_rows_that_a_replay_adds_while_a_lane_returns_to_direct_are_not_forgotten() -> None:
    async with running() as rig:
        event_id = rig.accept()
        rig.end(event_id)
        await rig.recorded()
        reading = rig.log.hold("remaining")
        rig.lane().spill()
        rig.loader.nudge()
        await until(lambda: rig.log.calls["remaining"])
        rig.log.rows[ID, event_id] = _replayed(rig, event_id)
        rig.engine.stored_elsewhere([ID])
        reading.set()
        await rig.starts(event_id)
        rig.end(event_id)
        await until(lambda: not rig.log.rows)


async def _load_begins(rig: Rig) -> None:
    """Returns when a load has been read, and its answer is held back."""
    before = rig.log.calls["load_due"]
    rig.lane().backlog.load_now = True
    rig.loader.nudge()
    await until(lambda: rig.log.calls["load_due"] > before)
    await asyncio.sleep(0.01)


def _replayed(rig: Rig, event_id: str) -> DeliveryRow:
    return DeliveryRow(ID, event_id, 0, None, DeliveryState.QUEUED, 1, 0, rig.clock.now(), None)
