"""How long events wait for earlier ones of their call."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from gateway.delivery.patience import SPANS_MOST, Patience

START = datetime(2026, 1, 1, tzinfo=UTC)
WAIT_S = 60.0


def at(seconds: float) -> datetime:
    return START + timedelta(seconds=seconds)


def test_a_wait_without_interruption_ends_when_it_would() -> None:
    patience = Patience(START)
    assert not patience.is_over(at(60), WAIT_S, at(59.9))
    assert patience.is_over(at(60), WAIT_S, at(60))


def test_an_interruption_lengthens_the_wait_by_itself() -> None:
    patience = Patience(START)
    patience.tells(False, at(10))
    patience.tells(True, at(510))
    assert not patience.is_over(at(60), WAIT_S, at(559))
    assert patience.is_over(at(60), WAIT_S, at(560))


def test_what_was_interrupted_before_the_wait_began_counts_nothing() -> None:
    patience = Patience(START)
    patience.tells(False, at(10))
    patience.tells(True, at(20))
    assert patience.is_over(at(90), WAIT_S, at(90))


def test_nothing_ends_during_an_interruption() -> None:
    patience = Patience(START)
    patience.tells(False, at(10))
    assert not patience.is_over(at(60), WAIT_S, at(1e6))


def test_time_before_the_process_started_is_not_counted() -> None:
    assert not Patience(at(1000)).is_over(at(60), WAIT_S, at(1059))
    assert Patience(at(1000)).is_over(at(60), WAIT_S, at(1060))


def test_ever_more_interruptions_take_no_more_memory_and_only_lengthen_the_wait() -> None:
    patience = Patience(START)
    for n in range(3 * SPANS_MOST):
        patience.tells(False, at(10 * n))
        patience.tells(True, at(10 * n + 5))
    assert len(patience._spans) == SPANS_MOST
    tried_s = 10 * 3 * SPANS_MOST / 2
    assert not patience.is_over(at(tried_s), tried_s, at(10 * 3 * SPANS_MOST - 6))
