"""A dead target with a great many undelivered events beside a healthy one; and what happens when it returns.

`--long` stores a million, as `make torture` does.
"""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from uuid import UUID

import psutil
import pytest

from bench.ledger import percentiles_ms
from bench.process import free_port
from bench.traffic import DECLINED_RANK, STEPS, TYPES, Payloads, Step
from tests.acceptance.backlog import STORE_BACKLOG
from tests.acceptance.capture import Door
from tests.acceptance.program import Gateway, RecordTarget, add_webhook

DEAD, HEALTHY = "/t/dead", "/t/healthy"
EVENTS = 20_000
BATCH_CALLS = 300
BATCH_EVERY_S = 0.25
STORED = 1_000_000
RATE_PER_S, LONG_RATE_PER_S = 4_000.0, 8_000.0
"""Of the webhook that was dead: what it may get in a second when it is back."""
MEMORY_BYTES = 300 * 1024 * 1024
NOISE_MS = 50.0
BREAKER_MAX_S = 60.0

pytestmark = [pytest.mark.slow, pytest.mark.quiet, pytest.mark.timeout(900)]


async def test_a_dead_target_with_a_backlog_is_not_noticed_and_catches_up_in_order(tmp_path: Path, long: bool) -> None:
    port = free_port()
    rate_per_s = LONG_RATE_PER_S if long else RATE_PER_S
    async with (
        RecordTarget() as target,
        Gateway(tmp_path / "data", egress_ports=[target.port, port]) as gateway,
    ):
        await add_webhook(gateway, target.url(HEALTHY), events=["reg_f.declined"])
        # The same pushes, that nobody wants yet: what is compared is the dead target, not the load of its events.
        calm_p99_ms = await healthy_p99_ms(gateway, target, pushing=EVENTS)
        dead = await add_webhook(
            gateway, f"http://127.0.0.1:{port}{DEAD}", events=list(STEPS), rate_per_s=rate_per_s, max_in_flight=64
        )
        count = EVENTS
        if long:
            await gateway.api("PATCH", f"/webhooks/{dead}", {"state": "paused"})
            await gateway.sql(STORE_BACKLOG, UUID(dead), STORED)
            await gateway.api("PATCH", f"/webhooks/{dead}", {"state": "active"})
            count += STORED
        p99_ms = await healthy_p99_ms(gateway, target, pushing=EVENTS)
        assert p99_ms <= max(2 * calm_p99_ms, NOISE_MS)
        assert psutil.Process(gateway.pid).memory_info().rss <= MEMORY_BYTES

        returned = RecordTarget()
        returned.port = port
        async with returned:
            assert await returned.arrived(DEAD, 1, timeout_s=2 * BREAKER_MAX_S), "a probe finds it back"
            began = time.monotonic()
            least_s = (count - 2 * rate_per_s) / rate_per_s  # a burst at the start, and what came with the probe
            assert await returned.arrived(DEAD, count, timeout_s=30.0 + 3 * least_s)
            assert time.monotonic() - began >= least_s * 0.9, "faster than it was allowed"
            record = returned.record(DEAD)
            assert record.overtaken == 0 and not record.doubled
            assert psutil.Process(gateway.pid).memory_info().rss <= MEMORY_BYTES


async def push_calls(gateway: Gateway, count: int) -> None:
    """Created, Ended and Saved of many calls, in batches: all Created of a batch, then all Ended, then all Saved."""
    payloads = Payloads()
    async with Door(gateway) as door:
        for first in range(0, count // len(STEPS) + 1, BATCH_CALLS):
            calls = range(first, min(first + BATCH_CALLS, count // len(STEPS) + 1))
            steps = [Step(rank, 10_000_000 + call_id) for rank in range(len(STEPS)) for call_id in calls]
            envelopes = [
                b'{"type":"%b","data":%b}' % (TYPES[step.rank].encode(), payloads.render(step, 0)) for step in steps
            ]
            await asyncio.sleep(BATCH_EVERY_S)
            answer = await door.post("/v1/events/batch", b"[" + b",".join(envelopes) + b"]")
            assert answer.status == 202 and b"error" not in answer.body


async def healthy_p99_ms(gateway: Gateway, target: RecordTarget, *, pushing: int) -> float:
    """The lags of Regulation F events at a steady, low rate, while so many others are pushed."""
    target.target.reset()
    payloads = Payloads()
    ids = set()
    others = asyncio.create_task(push_calls(gateway, pushing))
    async with Door(gateway) as door:
        while not others.done():
            payload = payloads.render(Step(DECLINED_RANK, 0), time.monotonic_ns())
            ids.add(await door.accepted(payload, type="reg_f.declined"))
            await asyncio.sleep(0.01)
    await others
    assert not await target.delivered(HEALTHY, ids, timeout_s=10.0)
    return float(percentiles_ms(target.record(HEALTHY).lags_ns)["p99"])
