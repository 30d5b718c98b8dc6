"""The rollup: what is counted is what is taken, once, and percentiles come out of it."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.ids import ZERO_ID
from gateway.model import Event, Webhook, WebhookState
from gateway.telemetry.rollup import BOUNDS_MS, BUCKETS, Rollup, Tally, merged, quantile_ms


def hook(id: str, tenant_id: int = 1) -> Webhook:
    return Webhook(
        id=id, tenant_id=tenant_id, name=id, events=frozenset(), method="POST", url="https://crm.example.com/",
        access=None, state=WebhookState.ACTIVE, reason=None, signing_secrets=(),
    )  # fmt: skip


def event(tenant_id: int) -> Event:
    return Event("e", tenant_id, "call.created", None, None, b"{}", ())


def by_webhook(tallies: list[Tally]) -> dict[tuple[int, str], Tally]:
    return {(tally.tenant_id, tally.webhook_id): tally for tally in tallies}


def test_attempts_are_counted_by_webhook_and_in_their_tenants_total() -> None:
    rollup = Rollup()
    rollup.attempted(hook("a"), True, 1_500)
    rollup.attempted(hook("b"), False, 9_000_000)
    rollup.attempted(hook("c", tenant_id=2), True, 10)
    tallies = by_webhook(rollup.peek(600))
    assert (tallies[1, "a"].ok, tallies[1, "a"].failed) == (1, 0)
    assert (tallies[1, "b"].ok, tallies[1, "b"].failed) == (0, 1)
    assert (tallies[1, ZERO_ID].ok, tallies[1, ZERO_ID].failed) == (1, 1)
    assert (tallies[2, ZERO_ID].ok, tallies[2, ZERO_ID].failed) == (1, 0)
    assert {tally.at_s for tally in tallies.values()} == {600}


def test_accepted_events_count_in_the_total_alone_even_where_nothing_is_delivered() -> None:
    rollup = Rollup()
    rollup.accepted([event(1), event(2), event(2)])
    tallies = by_webhook(rollup.peek(0))
    assert {key: tally.accepted for key, tally in tallies.items()} == {(1, ZERO_ID): 1, (2, ZERO_ID): 2}


def test_what_was_taken_is_not_counted_again() -> None:
    rollup = Rollup()
    rollup.attempted(hook("a"), True, 1)
    assert rollup.take(60)
    assert rollup.take(120) == []


def test_a_value_on_a_bound_belongs_to_the_bucket_that_it_bounds() -> None:
    rollup = Rollup()
    rollup.started(hook("a"), 0.001)
    rollup.started(hook("a"), 0.0011)
    rollup.started(hook("a"), 1e6)
    rollup.attempted(hook("a"), True, 1_000)
    (tally,) = [tally for tally in rollup.take(0) if tally.webhook_id == "a"]
    assert (tally.lag[0], tally.lag[1], tally.lag[-1]) == (1, 1, 1)
    assert tally.took[0] == 1


def test_minutes_of_one_hour_add_up_to_it() -> None:
    none = (0,) * BUCKETS
    minutes = [Tally(at_s, 1, "a", 0, 2, 1, none, none) for at_s in (3_600, 3_660, 7_140, 7_200)]
    assert [(tally.at_s, tally.ok, tally.failed) for tally in merged(minutes, 3_600)] == [(3_600, 6, 3), (7_200, 2, 1)]


def test_there_is_no_percentile_of_nothing() -> None:
    assert quantile_ms((0,) * BUCKETS, 0.5) is None


def test_a_percentile_is_found_within_its_bucket() -> None:
    histogram = [0] * BUCKETS
    histogram[BOUNDS_MS.index(100)] = 10  # between 50 and 100 ms
    assert quantile_ms(histogram, 0.5) == pytest.approx(75)
    histogram[-1] = 1_000
    assert quantile_ms(histogram, 0.99) == BOUNDS_MS[-1]


@given(st.lists(st.integers(0, 1000), min_size=BUCKETS, max_size=BUCKETS).filter(any))
def test_percentiles_never_fall_as_the_share_grows(histogram: list[int]) -> None:
    values = [quantile_ms(histogram, share) for share in (0.01, 0.25, 0.5, 0.9, 0.99, 1.0)]
    known = [value for value in values if value is not None]
    assert known == sorted(known)
    assert all(0 <= value <= BOUNDS_MS[-1] for value in known)
