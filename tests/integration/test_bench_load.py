"""The generator, the floor and the target together: their books agree."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import pytest

from bench.load import Load
from bench.plan import Plan
from bench.rig import Child
from tests.acceptance.program import RecordTarget


@pytest.fixture
async def target() -> AsyncIterator[RecordTarget]:
    async with RecordTarget() as target:
        yield target


@pytest.fixture
async def url(target: RecordTarget) -> AsyncIterator[str]:
    async with AsyncExitStack() as stack:
        floor = await stack.enter_async_context(Child("bench.floor", target.url("/t/0"), core=0))
        yield f"http://127.0.0.1:{floor.ports['port']}"


@pytest.mark.parametrize(
    "shape",
    [{}, {"raw": True}, {"batch": 20, "connections": 2}, {"rate_per_s": 300.0}, {"rate_per_s": 300.0, "poisson": True}],
)
async def test_whatever_is_accepted_arrives_once(target: RecordTarget, url: str, shape: dict[str, object]) -> None:
    report = await Load(Plan(url=url, token="t", seconds=0.5, **shape)).run()  # type: ignore[arg-type]
    assert report["accepted"] == report["sent"] > 0
    assert await target.arrived("/t/0", report["accepted"], timeout_s=5)
    assert target.record("/t/0").duplicates == 0


async def test_an_open_loop_keeps_to_its_schedule_and_counts_waiting_as_latency(target: RecordTarget, url: str) -> None:
    target.set("*", latency_ms=100)
    report = await Load(Plan(url=url, token="t", seconds=0.5, rate_per_s=400, connections=1)).run()
    assert report["sent"] == 200
    assert report["ack_ms"]["max"] >= report["ack_ms"]["p50"] > 0
    assert await target.arrived("/t/0", 200, timeout_s=5)


async def test_a_refusal_is_counted_and_not_taken_for_an_acceptance(target: RecordTarget) -> None:
    target.set("*", failure_rate=1.0, failure_status=503)
    url = f"http://127.0.0.1:{target.port}"
    report = await Load(Plan(url=url, token="t", seconds=0.2, connections=2)).run()
    assert report["accepted"] == 0
    assert report["statuses"] == {"503": report["sent"]}


async def test_a_target_that_hangs_holds_its_books_open(target: RecordTarget, url: str) -> None:
    target.set("*", hang=True)
    report = await Load(Plan(url=url, token="t", seconds=0.2, rate_per_s=50)).run()
    assert report["accepted"] == 10
    assert target.record("/t/0").ids == set()
