"""What the bench's switch sends."""

from __future__ import annotations

import json
from collections import Counter

import pytest

from bench.plan import Plan, arguments, read
from bench.pushes import Tenants
from bench.traffic import DECLINED_EVERY, DECLINED_RANK, STEPS, TYPES, Payloads, Step, Traffic
from gateway.catalog import check


@pytest.mark.parametrize("rank", range(len(TYPES)))
def test_every_payload_passes_the_gateways_own_check(rank: int) -> None:
    payload = Payloads().render(Step(rank, 1_000_000_001), sent_ns=123)
    checked = check(TYPES[rank], payload)
    assert json.loads(payload)["sent_ns"] == 123
    assert checked.call_key == (None if rank == DECLINED_RANK else "1000000001")


def test_an_envelope_carries_the_payload_unchanged() -> None:
    payloads = Payloads()
    envelope = payloads.render_envelope(Step(1, 7), sent_ns=5, tenant=b"acme")
    assert payloads.render(Step(1, 7), sent_ns=5) in envelope
    assert json.loads(envelope) | {"data": None} == {"type": "call.ended", "tenant": "acme", "data": None}


@pytest.mark.parametrize("spread", [0, 5])
def test_a_step_is_sent_only_after_the_one_before_was_accepted(spread: int) -> None:
    traffic = Traffic(spread=spread)
    accepted: dict[int, int] = {}
    for _ in range(500):
        step = traffic.next()
        if step.rank < DECLINED_RANK:
            assert accepted.get(step.call_id, -1) == step.rank - 1
            accepted[step.call_id] = step.rank
        traffic.accepted(step)
    assert Counter(accepted.values())[len(STEPS) - 1] > 100


def test_a_refused_step_ends_its_call() -> None:
    traffic = Traffic(spread=0)
    steps = [traffic.next() for _ in range(DECLINED_EVERY - 1)]
    assert all(step.rank == 0 for step in steps)


def test_tenants_share_calls_evenly_or_by_zipfs_law() -> None:
    even = Counter(map(Tenants(10, skew=0.0).of, range(10_000)))
    skewed = Counter(map(Tenants(10, skew=1.0).of, range(10_000)))
    assert len(even) == len(skewed) == 10
    assert max(even.values()) < 1.5 * min(even.values())
    assert skewed[b"tenant-0000"] > 5 * skewed[b"tenant-0009"]


def test_a_plan_survives_the_way_over_the_command_line() -> None:
    plan = Plan(
        url="http://127.0.0.1:1", token="t", seconds=2.5, rate_per_s=400.0, poisson=True, max_events=7, skew=1.0
    )
    assert read(arguments(plan)) == plan
