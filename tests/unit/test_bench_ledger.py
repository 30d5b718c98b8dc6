"""The bench's books: what counts as delivered, doubled, overtaken, late."""

from __future__ import annotations

from array import array

from hypothesis import given
from hypothesis import strategies as st

from bench.ledger import Ledger, percentiles_ms, summary

CREATED, ENDED, SAVED = range(3)


def deliver(ledger: Ledger, event_id: bytes, call_id: int, rank: int, lag_ns: int = 0) -> None:
    ledger.arrived(call_id, rank, now_ns=1)
    ledger.settled(event_id, call_id, rank, lag_ns)


def test_steps_in_order_are_delivered_and_nothing_else() -> None:
    ledger = Ledger()
    for rank in (CREATED, ENDED, SAVED):
        deliver(ledger, b"%d" % rank, 1, rank)
    assert (len(ledger.delivered), ledger.duplicates, ledger.overtaken) == (3, 0, 0)


def test_an_event_that_comes_again_is_a_duplicate_and_no_delivery() -> None:
    ledger = Ledger()
    deliver(ledger, b"a", 1, CREATED)
    deliver(ledger, b"b", 1, ENDED)
    deliver(ledger, b"a", 1, CREATED)
    assert (len(ledger.delivered), ledger.duplicates, ledger.overtaken) == (2, 1, 0)


def test_a_step_is_overtaken_if_a_later_one_was_sent_before_it_was_delivered() -> None:
    ledger = Ledger()
    deliver(ledger, b"b", 1, ENDED)
    deliver(ledger, b"a", 1, CREATED)
    assert ledger.overtaken == 1


def test_a_step_is_overtaken_if_a_later_one_arrives_while_it_is_being_answered() -> None:
    ledger = Ledger()
    ledger.arrived(1, CREATED, now_ns=1)
    ledger.arrived(1, ENDED, now_ns=2)
    ledger.settled(b"a", 1, CREATED, 0)
    assert ledger.overtaken == 1


def test_a_failed_arrival_does_not_excuse_the_later_step_that_follows_it() -> None:
    ledger = Ledger()
    ledger.arrived(1, CREATED, now_ns=1)  # answered 500
    deliver(ledger, b"b", 1, ENDED)
    deliver(ledger, b"a", 1, CREATED)
    assert ledger.overtaken == 1


def test_calls_do_not_overtake_each_other() -> None:
    ledger = Ledger()
    deliver(ledger, b"b", 2, SAVED)
    deliver(ledger, b"a", 1, CREATED)
    assert ledger.overtaken == 0


def test_a_summary_adds_up_ledgers_and_ranks_their_lags_together() -> None:
    first, second = Ledger(), Ledger()
    deliver(first, b"a", 1, CREATED, lag_ns=1_000_000)
    deliver(second, b"a", 1, CREATED, lag_ns=3_000_000)
    total = summary([first, second])
    assert total["delivered"] == 2
    assert total["lag_ms"] == {"p50": 1.0, "p99": 3.0, "p999": 3.0, "max": 3.0}


@given(st.lists(st.integers(0, 10**12), min_size=1))
def test_a_percentile_is_one_of_the_samples_with_enough_of_them_at_or_below_it(samples: list[int]) -> None:
    found = percentiles_ms(array("q", samples))
    assert found["max"] == max(samples) / 1e6
    below = sum(sample / 1e6 <= found["p50"] for sample in samples)
    assert below * 2 >= len(samples)
