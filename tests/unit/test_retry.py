"""When a failed delivery is tried again."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.retry import JITTER, RETRY_AFTER_MAX_S, next_wait_s, parse_retry_after

SCHEDULE = (5.0, 300.0, 1800.0)


@given(st.integers(min_value=1, max_value=3), st.floats(min_value=0, max_value=0.999))
def test_a_wait_is_the_schedules_and_at_most_a_fifth_longer(tries: int, chance: float) -> None:
    wait_s = next_wait_s(SCHEDULE, tries, retry_after_s=None, chance=chance)
    assert wait_s is not None and SCHEDULE[tries - 1] <= wait_s <= SCHEDULE[tries - 1] * (1 + JITTER)


def test_after_the_last_there_is_none_whatever_the_target_asks_for() -> None:
    assert next_wait_s(SCHEDULE, 4, retry_after_s=10.0, chance=0.5) is None
    assert next_wait_s((), 1, retry_after_s=None, chance=0.5) is None


@pytest.mark.parametrize(
    ("asked", "waits"), [(1.0, 300.0), (299.0, 300.0), (600.0, 600.0), (1e9, RETRY_AFTER_MAX_S), (0.0, 300.0)]
)
def test_retry_after_lengthens_a_wait_up_to_a_day_and_never_shortens_it(asked: float, waits: float) -> None:
    assert next_wait_s(SCHEDULE, 2, retry_after_s=asked, chance=0.0) == waits


NOW = datetime(2026, 3, 1, 12, tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("120", 120.0),
        (" 0 ", 0.0),
        ("1" * 5000, 111_111_111.0),
        ("Sun, 01 Mar 2026 12:01:00 GMT", 60.0),
        ("Sunday, 01-Mar-26 12:01:00 GMT", 60.0),
        ("Sun Mar  1 12:01:00 2026", 60.0),
        ("Sun, 01 Mar 2026 11:00:00 GMT", 0.0),
        ("-5", None),
        ("1.5", None),
        ("²", None),
        ("soon", None),
        ("", None),
        ("Fri, 31 Dec 99999999999999999999 23:59:59 GMT", None),
        ("Fri, 31 Dec 2024 99999999999999999999:59:59 GMT", None),
        ("Fri, 31 Dec 2024 23:59:59 +99999999999999999999", None),
    ],
)
def test_both_forms_of_rfc_9110_are_read_and_anything_else_is_ignored(value: str, seconds: float | None) -> None:
    assert parse_retry_after(value, NOW) == seconds


@given(st.text(max_size=60) | st.from_regex(r"\A\w{3}, \d{1,30} \w{3} \d{1,30} \d{1,25}:\d\d:\d\d [+-]?\w{1,25}\Z"))
def test_no_value_raises(value: str) -> None:
    seconds = parse_retry_after(value, NOW)
    assert seconds is None or seconds >= 0
