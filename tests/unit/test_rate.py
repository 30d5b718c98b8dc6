"""The rate limit: a token bucket."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.rate import RateLimit


def test_a_burst_of_a_second_starts_at_once_and_the_next_waits_its_share() -> None:
    limit = RateLimit(4.0)
    assert [limit.wait_s(100.0) for _ in range(5)] == [0.0, 0.0, 0.0, 0.0, pytest.approx(0.25)]
    assert limit.wait_s(100.25) == 0.0


def test_less_than_one_a_second_starts_one_and_waits_long() -> None:
    limit = RateLimit(0.1)
    assert limit.wait_s(100.0) == 0.0 and limit.wait_s(100.0) == pytest.approx(10.0)


@given(st.floats(min_value=0.1, max_value=500), st.lists(st.floats(min_value=0, max_value=0.5), max_size=200))
def test_never_more_than_the_rate_and_a_burst(per_s: float, pauses: list[float]) -> None:
    limit, now_s, started = RateLimit(per_s), 1000.0, 0
    for pause_s in pauses:
        now_s += pause_s
        started += limit.wait_s(now_s) == 0.0
    assert started <= limit.burst + (now_s - 1000.0) * per_s + 1e-6
