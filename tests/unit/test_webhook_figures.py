"""The 24 hours behind a line of the list of webhooks."""

from __future__ import annotations

from gateway.console.webhook_figures import HOUR_S, HOURS, WebhookFigures, by_webhook, first_hour_s
from gateway.console.webhook_list import latency
from gateway.telemetry.rollup import BUCKETS, Tally

NOW_S = 1_700_000_000
FIRST_S = first_hour_s(NOW_S)


def tally(hour: int, *, ok: int = 0, failed: int = 0, bucket: int = 0, webhook_id: str = "crm") -> Tally:
    took = [0] * BUCKETS
    took[bucket] = ok + failed
    return Tally(FIRST_S + hour * HOUR_S + 60, 1, webhook_id, 0, ok, failed, (0,) * BUCKETS, tuple(took))


def figures(*tallies: Tally) -> WebhookFigures:
    return by_webhook(["crm"], tallies, FIRST_S, {})["crm"]


def test_the_hour_that_is_going_on_is_the_last_one() -> None:
    assert FIRST_S + (HOURS - 1) * HOUR_S <= NOW_S < FIRST_S + HOURS * HOUR_S
    assert figures(tally(HOURS - 1, ok=3)).hours[-1].ok == 3


def test_what_is_stored_and_what_is_counted_since_add_up() -> None:
    day = figures(tally(5, ok=3), tally(5, ok=1, failed=2))
    assert (day.hours[5].ok, day.hours[5].failed, day.success) == (4, 2, 4 / 6)


def test_other_webhooks_and_other_days_do_not_count() -> None:
    day = figures(tally(5, ok=3, webhook_id="warehouse"), tally(-1, ok=1), tally(HOURS, ok=1))
    assert (day.ok, day.success, day.p95_ms) == (0, None, None)


def test_one_slow_hour_shows_in_the_days_p95_but_not_in_its_p50() -> None:
    day = figures(tally(3, ok=90, bucket=2), tally(9, ok=10, bucket=11))  # 2 to 3 ms; 500 to 1,000 ms
    assert day.p50_ms is not None and 2 < day.p50_ms < 3
    assert day.p95_ms == 750
    assert [place for place, ms in enumerate(day.hourly_ms(0.5)) if ms is not None] == [3, 9]


def test_hours_without_an_attempt_are_gaps_in_the_line() -> None:
    p95, p50 = latency(figures(tally(3, ok=1), tally(4, ok=1), tally(9, ok=1)))
    assert p95.path.count("M") == p50.path.count("M") == 2
