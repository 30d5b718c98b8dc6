"""When a streak of failures is saved, told of, and too long; when a lane has one."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.delivery.streak import FAILURES_LEAST, SAVE_AFTER, TELL_AFTER, Streak
from gateway.model import ErrorKind, Outcome, WebhookState
from tests.unit.delivery.rig import running, webhook

BEGAN = datetime(2026, 1, 31, 11, tzinfo=UTC)
DAYS = timedelta(days=5)


def failing(*, times: int, lasting: timedelta) -> Streak:
    streak = Streak(BEGAN)
    for number in range(times):
        streak.fails("HTTP 503", BEGAN + lasting * (number + 1) / times)
    return streak


def test_a_short_streak_makes_nothing_due() -> None:
    streak = failing(times=1_000, lasting=SAVE_AFTER - timedelta(seconds=1))
    assert not streak.is_to_be_saved and not streak.is_to_be_told and not streak.is_too_long(DAYS)


def test_a_streak_is_saved_after_minutes_and_told_of_after_an_hour_once() -> None:
    streak = failing(times=2, lasting=TELL_AFTER)
    assert streak.is_to_be_saved and streak.is_to_be_told
    streak.saved = streak.told = True
    assert not streak.is_to_be_saved and not streak.is_to_be_told


def test_a_few_failures_far_apart_are_not_too_long() -> None:
    assert not failing(times=FAILURES_LEAST - 1, lasting=DAYS).is_too_long(DAYS)
    assert failing(times=FAILURES_LEAST, lasting=DAYS).is_too_long(DAYS)


def test_a_streak_of_an_earlier_process_makes_nothing_due_before_it_fails_again() -> None:
    streak = Streak(BEGAN, saved=True)
    assert not streak.is_to_be_told and not streak.is_too_long(DAYS)
    streak.fails("connect_refused", BEGAN + DAYS)
    assert streak.is_to_be_told


async def test_the_first_failure_begins_a_streak_and_a_success_ends_it() -> None:
    async with running() as rig:
        rig.fail(rig.accept(), 503)
        first = rig.lane().target.streak
        rig.fail(rig.accept(), 404)
        assert first is not None and rig.lane().target.streak is first
        assert (first.failures, first.last) == (2, "HTTP 404")
        assert rig.lane().state().failing_since == first.since
        rig.end(rig.accept())
        assert rig.lane().target.streak is None and rig.lane().state().failing_since is None


async def test_what_the_gateway_gave_up_itself_is_no_failure_of_the_target() -> None:
    async with running() as rig:
        rig.end(rig.accept(), Outcome(duration_us=1, error=ErrorKind.ABANDONED))
        assert rig.lane().target.streak is None


async def test_a_resumed_webhook_and_one_with_another_target_begin_anew() -> None:
    async with running() as rig:
        rig.fail(rig.accept())
        rig.engine.webhook_changed(webhook(state=WebhookState.PAUSED))
        assert rig.lane().target.streak is not None
        rig.engine.webhook_changed(webhook())
        assert rig.lane().target.streak is None
        event_id = rig.accept()
        await rig.starts(event_id)
        rig.fail(event_id)
        rig.engine.webhook_changed(webhook(url="https://new.example.com/hooks"))
        assert rig.lane().target.streak is None
