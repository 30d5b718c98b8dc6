"""The circuit breaker: opens on a target that is down, probes one at a time, and closes on a success."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.breaker import (
    COOLDOWN_MAX_S,
    FAILURES_IN_A_ROW,
    FIRST_COOLDOWN_S,
    WINDOW,
    Breaker,
    BreakerState,
    target_is_down,
)
from gateway.model import ErrorKind, Outcome, Response


def opened(at_s: float = 0.0) -> Breaker:
    breaker = Breaker()
    for _ in range(FAILURES_IN_A_ROW):
        breaker.failed("HTTP 503", at_s)
    assert breaker.state is BreakerState.OPEN
    return breaker


def test_failures_in_a_row_open_it_and_a_success_between_them_does_not() -> None:
    breaker = Breaker()
    for _ in range(5):
        for _ in range(FAILURES_IN_A_ROW // 2):
            breaker.failed("timeout", 0.0)
        breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED
    assert opened().reason == "HTTP 503"


def test_a_large_share_of_failures_opens_it_without_a_row() -> None:
    breaker = Breaker()
    for place in range(WINDOW * 2):
        if breaker.state is BreakerState.CLOSED:
            breaker.succeeded() if place % 8 == 0 else breaker.failed("HTTP 500", 0.0)
    assert breaker.state is BreakerState.OPEN


def test_an_abandoned_probe_is_due_again_at_once_and_other_abandoned_attempts_count_for_nothing() -> None:
    breaker = opened()
    breaker.starts()
    breaker.abandoned()
    assert breaker.state is BreakerState.OPEN and breaker.room(FIRST_COOLDOWN_S, 0)
    closed = Breaker()
    for _ in range(2 * FAILURES_IN_A_ROW):
        closed.abandoned()
    assert closed.state is BreakerState.CLOSED


def test_while_open_nothing_starts_and_then_one_probe() -> None:
    breaker = opened()
    assert not breaker.room(FIRST_COOLDOWN_S / 2, 0)
    assert breaker.room(FIRST_COOLDOWN_S, 0) and not breaker.room(FIRST_COOLDOWN_S, 1)
    breaker.starts()
    assert breaker.state is BreakerState.PROBING


def test_a_probe_that_succeeds_closes_it() -> None:
    breaker = opened()
    breaker.starts()
    breaker.succeeded()
    assert breaker.state is BreakerState.CLOSED and breaker.reason is None and breaker.room(0.0, 99)


def test_each_probe_that_fails_doubles_the_wait_up_to_a_minute() -> None:
    breaker, now_s, waits = opened(), 0.0, []
    for _ in range(9):
        now_s = breaker.probe_at
        breaker.starts()
        breaker.failed("HTTP 503", now_s)
        waits.append(breaker.probe_at - now_s)
    assert waits[:3] == [2.0, 4.0, 8.0] and waits[-1] == COOLDOWN_MAX_S


def test_failures_of_what_was_in_flight_when_it_opened_do_not_lengthen_the_wait() -> None:
    breaker = opened()
    probe_at = breaker.probe_at
    for _ in range(30):
        breaker.failed("timeout", 0.5)
    assert breaker.probe_at == probe_at


@given(st.lists(st.booleans(), max_size=200))
def test_at_most_one_attempt_is_under_way_while_it_is_not_closed(outcomes: list[bool]) -> None:
    breaker, now_s = Breaker(), 0.0
    for ok in outcomes:
        now_s += 100.0
        assert breaker.room(now_s, 0)
        breaker.starts()
        if breaker.state is not BreakerState.CLOSED:
            assert not breaker.room(now_s, 1)
        breaker.succeeded() if ok else breaker.failed("HTTP 500", now_s)


@pytest.mark.parametrize(
    ("outcome", "down"),
    [
        (Outcome(1, error=ErrorKind.TIMEOUT), True),
        (Outcome(1, Response(500, (), b"", False)), True),
        (Outcome(1, Response(429, (), b"", False)), True),
        (Outcome(1, Response(400, (), b"", False)), False),
        (Outcome(1, Response(302, (), b"", False)), False),
    ],
)
def test_what_speaks_of_one_event_does_not_speak_of_the_target(outcome: Outcome, down: bool) -> None:
    assert target_is_down(outcome) is down
