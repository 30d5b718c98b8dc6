"""Spans of time as callers write them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.period import id_bounds, parse_begin, parse_end
from gateway.errors import Problem
from gateway.ids import ZERO_ID, IdSource, floor_id

instants = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(2200, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 (Hypothesis adds the zone)


@pytest.mark.parametrize(
    ("text", "instant"),
    [
        ("2026-01-31T12:00:00Z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31t12:00:00z", datetime(2026, 1, 31, 12, tzinfo=UTC)),
        ("2026-01-31 12:00:00+02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31T12:00:00 02:00", datetime(2026, 1, 31, 10, tzinfo=UTC)),
        ("2026-01-31T12:00:00.123456789-00:30", datetime(2026, 1, 31, 12, 30, 0, 123456, tzinfo=UTC)),
    ],
)
def test_a_time_means_the_same_as_beginning_and_as_end(text: str, instant: datetime) -> None:
    assert parse_begin(text) == parse_end(text) == instant


def test_a_date_begins_with_its_first_moment_and_ends_with_its_last() -> None:
    assert parse_begin("2026-01-31") == datetime(2026, 1, 31, tzinfo=UTC)
    assert parse_end("2026-01-31") == datetime(2026, 2, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "now",
        "2026",
        "2026-1-1",
        "2026-13-01",
        "2026-02-29",
        "2026-01-31T12:00:00",
        "20260131",
        "2026-01-31T25:00:00Z",
        "9999-12-31",
        "9999-12-31T23:59:59-23:00",
        "٢٠٢٦-٠١-٣١",
        7,
        None,
    ],
)
def test_what_is_no_time_is_refused_with_an_example(text: object) -> None:
    with pytest.raises(ValueError, match="2026-01-31T12:00:00Z"):
        parse_end(text)


@given(instants, st.timedeltas(min_value=timedelta(milliseconds=1), max_value=timedelta(days=900)))
def test_an_id_is_within_its_span_exactly_if_its_time_is(begin: datetime, length: timedelta) -> None:
    low, high = id_bounds(begin, begin + length, place="")
    assert low is not None
    assert high is not None
    first = IdSource(clock_ms=lambda: int(begin.timestamp() * 1000)).next()
    after = IdSource(clock_ms=lambda: int((begin + length).timestamp() * 1000)).next()
    assert low <= first < high <= after


def test_a_time_before_any_id_is_the_smallest_bound() -> None:
    assert id_bounds(datetime(1900, 1, 1, tzinfo=UTC), None, place="") == (ZERO_ID, None)
    assert floor_id(datetime(1970, 1, 1, tzinfo=UTC)) == ZERO_ID


def test_a_span_that_ends_before_it_begins_is_refused_at_its_beginning() -> None:
    noon = datetime(2026, 1, 1, 12, tzinfo=UTC)
    with pytest.raises(Problem) as caught:
        id_bounds(noon, noon, place="/")
    assert [error.pointer for error in caught.value.errors] == ["/from"]
