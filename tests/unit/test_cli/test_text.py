"""Durations and times as people type them, and text from strangers as it may be shown."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.cli.text import duration_s, millis, moment, printable

NOW = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("250ms", 0.25), ("15m", 900), ("2h", 7200), ("1h30m", 5400), ("7d", 604_800)]
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert duration_s(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-5s", "5 parsecs", "1h-30m", "NaN", "1e3"])
def test_what_is_no_duration_says_what_is(text: str) -> None:
    with pytest.raises(ValueError, match="write 30s"):
        duration_s(text)


def test_a_duration_as_a_time_is_that_long_ago() -> None:
    assert moment("2h", now=NOW) == "2026-01-31T10:00:00Z"


def test_a_date_stays_a_date() -> None:
    assert moment("2026-01-30", now=NOW) == "2026-01-30"


def test_a_time_without_a_zone_is_one_of_here() -> None:
    here = NOW.astimezone(timezone(timedelta(hours=-5)))
    assert moment("2026-01-30T10:00", now=here) == "2026-01-30T15:00:00Z"


def test_a_time_with_a_zone_keeps_its_moment() -> None:
    assert moment("2026-01-30T10:00:00+02:00", now=NOW) == "2026-01-30T08:00:00Z"


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", "31.01.2026", ""])
def test_what_is_no_time_says_what_is(text: str) -> None:
    with pytest.raises(ValueError, match="write"):
        moment(text, now=NOW)


@given(st.text())
def test_nothing_printable_drives_a_terminal(text: str) -> None:
    shown = printable(text)
    assert not any(ord(char) < 32 or 127 <= ord(char) < 160 for char in shown)
    shown.encode()


def test_lines_are_kept_where_they_are_meant() -> None:
    assert printable("a\n\tb\x1b", lines=True) == "a\n\tb\\x1b"


@pytest.mark.parametrize(("value", "shown"), [(1.234, "1.2 ms"), (250, "250 ms"), (12_345, "12.3 s"), (None, "")])
def test_a_duration_is_shown_with_the_digits_that_matter(value: object, shown: str) -> None:
    assert millis(value) == shown
