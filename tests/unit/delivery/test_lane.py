"""The way through a lane: order within a call, nothing in the way of other calls, limits, retries."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from gateway.delivery.breaker import FAILURES_IN_A_ROW, Breaker, BreakerState
from gateway.delivery.limits import Limits
from gateway.errors import Unavailable
from gateway.model import DeliveryState, WebhookState
from tests.memory_log import Fault, MemoryLog
from tests.unit.delivery.rig import SCHEDULE_S, Rig, answer, running, until, webhook

ID = webhook().id


async def test_of_one_call_only_the_first_is_under_way_while_other_calls_flow_past() -> None:
    async with running() as rig:
        created, other, ended = rig.accept("1"), rig.accept("2"), rig.accept("1")
        assert rig.under_way == [created, other]
        rig.end(created)
        assert rig.under_way == [other, ended]


async def test_events_without_a_call_wait_for_nothing() -> None:
    async with running() as rig:
        ids = [rig.accept(None) for _ in range(3)]
        assert rig.under_way == ids


async def test_a_call_waits_for_the_retry_of_its_first_event_and_others_do_not() -> None:
    async with running() as rig:
        created, ended = rig.accept("1"), rig.accept("1")
        rig.fail(created)
        saved, other = rig.accept("1"), rig.accept("2")
        assert rig.under_way == [other]
        await rig.recorded()
        rig.advance(SCHEDULE_S[0] + 0.1)
        for event_id in (created, ended, saved):
            await rig.starts(event_id)
            assert rig.under_way == [other, event_id]
            rig.end(event_id)
        await until(lambda: not rig.log.rows)


async def test_without_order_a_retry_holds_nothing_up() -> None:
    async with running(webhook(order_wait_s=None)) as rig:
        created, ended = rig.accept("1"), rig.accept("1")
        assert rig.under_way == [created, ended]
        rig.fail(created)
        rig.end(ended)
        saved = rig.accept("1")
        assert rig.under_way == [saved]


async def test_the_wait_for_an_earlier_event_ends_and_the_request_says_what_was_overtaken() -> None:
    async with running(webhook(order_wait_s=30.0, retry_schedule_s=(600.0,))) as rig:
        created, ended = rig.accept("1"), rig.accept("1")
        rig.fail(created)
        await rig.recorded()
        rig.advance(31.0)
        await rig.starts(ended)
        assert rig.transport.under_way[0].header("webhook-overtook") == created


async def test_what_was_held_longer_than_the_wait_for_order_is_still_in_order_and_overtakes_nothing() -> None:
    async with running(webhook(order_wait_s=30.0)) as rig:
        rig.engine.webhook_changed(webhook(order_wait_s=30.0, state=WebhookState.PAUSED))
        created, ended = rig.accept("1"), rig.accept("1")
        await rig.recorded()
        rig.advance(100.0)
        rig.engine.webhook_changed(webhook(order_wait_s=30.0))
        await rig.starts(created)
        await rig.looked()
        assert rig.under_way == [created]
        rig.end(created)
        await rig.starts(ended)
        assert rig.transport.under_way[0].header("webhook-overtook") == ""


async def test_after_a_long_pause_a_call_waits_for_the_retry_of_its_first_event_as_it_did_before() -> None:
    """The incident: the wait ran on during the pause, and after it everything overtook what failed once."""
    hook = webhook(order_wait_s=30.0, retry_schedule_s=(20.0, 20.0))
    async with running(hook) as rig:
        rig.engine.webhook_changed(replace(hook, state=WebhookState.PAUSED))
        created, ended = rig.accept("1"), rig.accept("1")
        await rig.recorded()
        rig.advance(100_000.0)
        rig.engine.webhook_changed(hook)
        for wait_s in (25.0, 10.0):
            await rig.starts(created)
            rig.fail(created, 400)
            await rig.recorded()
            await rig.looked()
            assert rig.under_way == []
            rig.advance(wait_s)
        await rig.starts(ended)
        assert rig.transport.under_way[0].header("webhook-overtook") == created


async def test_a_schedule_that_is_used_up_leaves_a_failed_row_and_lets_the_call_go_on() -> None:
    async with running(webhook(retry_schedule_s=(5.0,))) as rig:
        created, ended = rig.accept("1"), rig.accept("1")
        rig.fail(created)
        await rig.recorded()
        rig.advance(5.1)
        await rig.starts(created)
        rig.fail(created)
        await rig.starts(ended)
        await rig.recorded()
        assert rig.log.rows[ID, created].state is DeliveryState.FAILED
        assert [each.number for each in rig.log.attempts.values() if each.event_id == created] == [1, 2]


async def test_a_retry_comes_when_it_is_due_and_not_before() -> None:
    async with running() as rig:
        event_id = rig.accept()
        rig.fail(event_id)
        await rig.recorded()
        await rig.looked()
        assert rig.under_way == []
        rig.advance(SCHEDULE_S[0] + 0.1)
        await rig.starts(event_id)
        assert rig.sent == [(event_id, 1), (event_id, 2)]


async def test_retry_after_lengthens_the_wait() -> None:
    async with running() as rig:
        event_id = rig.accept()
        rig.end(event_id, answer(503, [("retry-after", "120")]))
        await rig.recorded()
        row = rig.log.rows[ID, event_id]
        assert timedelta(seconds=119) < row.next_at - rig.clock.now() <= timedelta(seconds=120)


async def test_a_retry_after_beyond_all_numbers_is_ignored_and_loses_nothing() -> None:
    async with running() as rig:
        event_id = rig.accept("1")
        rig.end(event_id, answer(503, [("retry-after", "Fri, 31 Dec 99999999999999999999 23:59:59 GMT")]))
        await rig.recorded()
        assert rig.log.rows[ID, event_id].state is DeliveryState.RETRYING


async def test_410_tells_who_pauses_webhooks_and_costs_no_place_in_the_schedule() -> None:
    async with running() as rig:
        event_id = rig.accept()
        rig.end(event_id, answer(410))
        await rig.recorded()
        assert rig.gone == [(ID, rig.lane().webhook.url)]
        row = rig.log.rows[ID, event_id]
        assert (row.state, row.tries, row.attempts) == (DeliveryState.QUEUED, 0, 1)


async def test_after_410_nothing_is_sent_until_the_webhook_is_resumed() -> None:
    async with running() as rig:
        first = rig.accept("1")
        rig.end(first, answer(410))
        second = rig.accept("2")
        await rig.recorded()
        await asyncio.sleep(0.02)  # a loader that asked would have brought it by now
        assert rig.under_way == []
        rig.engine.webhook_changed(webhook(state=WebhookState.PAUSED))
        rig.engine.webhook_changed(webhook())
        await rig.starts(first)
        await rig.starts(second)


async def test_a_410_from_the_url_that_was_left_pauses_nothing_and_is_tried_at_the_new_one() -> None:
    async with running() as rig:
        event_id = rig.accept()
        rig.engine.webhook_changed(webhook(url="https://crm.example.com/new"))
        rig.end(event_id, answer(410))
        await rig.starts(event_id)
        assert rig.gone == [] and rig.lane().target.streak is None


async def test_another_url_is_not_made_to_wait_for_the_breaker_of_the_one_before() -> None:
    async with running(webhook(max_in_flight=FAILURES_IN_A_ROW)) as rig:
        for event_id in [rig.accept() for _ in range(FAILURES_IN_A_ROW)]:
            rig.fail(event_id)
        assert _breaker(rig) is BreakerState.OPEN
        event_id = rig.accept()
        rig.engine.webhook_changed(webhook(url="https://crm.example.com/new"))
        await rig.starts(event_id)


async def test_no_more_are_in_flight_than_the_webhook_allows() -> None:
    async with running(webhook(max_in_flight=2)) as rig:
        ids = [rig.accept() for _ in range(5)]
        assert rig.under_way == ids[:2]
        rig.end(ids[1])
        assert rig.under_way == [ids[0], ids[2]]


async def test_more_in_flight_get_the_connections_for_it() -> None:
    async with running(webhook(max_in_flight=1)) as rig:
        first, second = rig.accept(), rig.accept()
        rig.engine.webhook_changed(webhook(max_in_flight=8))
        assert rig.under_way == [first, second]
        assert [pool.max_connections for pool in rig.transport.pools] == [1, 8]
        assert not rig.transport.pools[0].is_closed, "it carries an attempt that is under way"


async def test_retries_take_at_most_half_of_the_concurrency() -> None:
    async with running(webhook(max_in_flight=4)) as rig:
        ids = [rig.accept() for _ in range(4)]
        for event_id in ids:
            rig.fail(event_id, 400)
        await rig.recorded()
        rig.advance(SCHEDULE_S[0] + 0.1)
        await until(lambda: len(rig.under_way) == 2)
        await rig.looked()
        assert len(rig.under_way) == 2
        fresh = rig.accept()
        assert rig.under_way[-1] == fresh


async def test_an_open_breaker_lets_one_probe_through_when_it_is_time() -> None:
    async with running(webhook(max_in_flight=1)) as rig:
        ids = [rig.accept() for _ in range(FAILURES_IN_A_ROW + 3)]
        for event_id in ids[:FAILURES_IN_A_ROW]:
            rig.fail(event_id)
        assert _breaker(rig) is BreakerState.OPEN and rig.under_way == []
        rig.advance(1.1)
        rig.lane().pump()
        assert rig.under_way == [ids[FAILURES_IN_A_ROW]]
        rig.end(rig.under_way[0])
        assert _breaker(rig) is BreakerState.CLOSED and len(rig.under_way) == 1


async def test_a_lane_whose_probe_hangs_sleeps_until_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    looks = 0
    room = Breaker.room

    def counted(breaker: Breaker, now_s: float, in_flight: int) -> bool:
        nonlocal looks
        looks += 1
        return room(breaker, now_s, in_flight)

    async with running(webhook(max_in_flight=2)) as rig:
        ids = [rig.accept() for _ in range(FAILURES_IN_A_ROW + 3)]
        for event_id in ids[: FAILURES_IN_A_ROW + 1]:
            rig.fail(event_id)
        rig.advance(1.1)
        rig.lane()._woken()
        assert len(rig.under_way) == 1
        monkeypatch.setattr(Breaker, "room", counted)
        await asyncio.sleep(0.05)
        assert looks < 10, "it looked once a millisecond"


async def test_a_removed_webhook_owes_nothing_and_holds_up_no_watermark() -> None:
    async with running(webhook(max_in_flight=1)) as rig:
        first, _, third = rig.accept("1"), rig.accept("1"), rig.accept("2")
        rig.engine.webhook_removed(ID)
        rig.fail(first)
        await rig.recorded()
        assert rig.engine.watermark == third
        assert rig.accept("1") == rig.engine.watermark
        assert rig.under_way == []


async def test_a_webhook_that_is_paused_under_load_stores_what_waits_and_goes_on_in_order() -> None:
    async with running(webhook(max_in_flight=1)) as rig:
        created, ended, other = rig.accept("1"), rig.accept("1"), rig.accept("2")
        rig.engine.webhook_changed(webhook(max_in_flight=1, state=WebhookState.PAUSED))
        saved = rig.accept("1")
        rig.end(created)
        await rig.recorded()
        assert rig.under_way == [] and set(rig.log.rows) == {(ID, each) for each in (ended, other, saved)}
        rig.engine.webhook_changed(webhook(max_in_flight=1))
        for event_id in (ended, saved, other):
            await rig.starts(event_id)
            rig.end(event_id)
        await until(lambda: not rig.log.rows)


async def test_a_lane_that_is_full_spills_and_returns_to_direct_in_order() -> None:
    async with running(webhook(max_in_flight=1), limits=Limits(queue_deliveries=2)) as rig:
        ids = [rig.accept(str(place // 2)) for place in range(8)]
        assert rig.lane().backlog.spilling
        for event_id in ids:
            await rig.starts(event_id)
            rig.end(event_id)
        await until(lambda: not rig.log.rows and not rig.lane().backlog.spilling)
        assert [event_id for event_id, _ in rig.sent] == ids


async def test_a_return_to_direct_that_would_hold_too_much_aside_is_broken_off() -> None:
    async with running(webhook(max_in_flight=1), limits=Limits(queue_deliveries=2)) as rig:
        rig.lane().spill()
        asking = rig.log.hold("remaining")
        rig.loader.nudge()
        await until(lambda: rig.log.calls["remaining"])
        ids = [rig.accept("1") for _ in range(4)]
        await rig.recorded()
        assert sorted(event_id for _, event_id in rig.log.rows) == ids
        asking.set()
        for event_id in ids:
            await rig.starts(event_id)
            rig.end(event_id)
        await until(lambda: not rig.log.rows and not rig.lane().backlog.spilling)


async def test_what_was_loaded_starts_although_the_return_of_another_lane_fails() -> None:
    """The incident (found by the simulation): it lay in its lane, which was full and so not looked after again."""
    one, other = webhook(), webhook("00000000-0000-7000-8000-000000000002")
    async with running(one, other, limits=Limits(retries=1)) as rig:
        for each in (one, other):
            rig.lane(each.id).spill()
        event_id = rig.accept(None, other.id)
        await rig.starts(event_id)
        rig.fail(event_id)
        await rig.recorded()
        rig.lane(one.id).spill()
        rig.lane(other.id).spill()
        rig.log.faults["remaining"].extend([Fault(Unavailable("the database is away"))] * 2)
        rig.advance(SCHEDULE_S[0] * 2)
        await rig.starts(event_id)
        rig.end(event_id)
        await until(lambda: not rig.log.rows)


async def test_memory_that_is_spent_by_all_lanes_together_makes_them_spill() -> None:
    async with running(webhook(max_in_flight=1)) as rig:
        rig.budget.take(rig.budget._left_bytes - 1)
        first, second = rig.accept(), rig.accept()
        await rig.recorded()
        assert rig.under_way == [first] and set(rig.log.rows) == {(ID, second)}


async def test_what_stays_unsettled_is_secured_and_the_watermark_moves_on() -> None:
    async with running(webhook(max_in_flight=1)) as rig:
        ids = [rig.accept("1"), rig.accept("1"), rig.accept("2")]
        rig.lane().secure(rig.clock.monotonic_s())
        await rig.recorded()
        assert rig.engine.watermark == ids[-1] and len(rig.log.rows) == 3
        for event_id in (ids[0], ids[1], ids[2]):
            await rig.starts(event_id)
            rig.end(event_id)
        await until(lambda: not rig.log.rows)
        assert [event_id for event_id, _ in rig.sent] == sorted(ids, key=[ids[0], ids[1], ids[2]].index)


async def test_recovery_takes_up_what_has_neither_a_success_nor_a_row() -> None:
    log = MemoryLog()
    async with running(log=log) as before:
        done, open_, failed = before.accept("1"), before.accept("2"), before.accept("3")
        before.end(done)
        before.fail(failed)
        await before.recorded()
        watermark = before.engine.watermark
    async with running(log=log, watermark=watermark) as after:
        assert await after.engine.recover() == 1
        await after.starts(open_)
        later = after.accept("3")
        await after.recorded()
        assert (ID, later) in log.rows, "behind the failed one of its call"


def _breaker(rig: Rig) -> BreakerState:
    return rig.lane().target.breaker.state
