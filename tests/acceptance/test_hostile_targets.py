"""Fifty healthy webhooks beside one target of every hostile kind: the healthy ones do not notice.

`--long` makes it last, as `make torture` does.
"""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest

from bench.ledger import percentiles_ms
from tests.acceptance.hostile import hostile_targets
from tests.acceptance.program import Gateway, RecordTarget, Switch, add_webhook

HEALTHY = [f"/t/{number}" for number in range(50)]
EVENTS = ["call.created"]
LINES, RATE_PER_S = 8, 24.0
NOISE_MS = 50.0
"""A p99 below this is not compared: on a busy machine the scheduler alone makes such a difference."""
GROWTH_BYTES = 50 * 1024 * 1024
DRAIN_S = 10.0

pytestmark = [pytest.mark.slow, pytest.mark.quiet, pytest.mark.timeout(300)]


async def test_healthy_webhooks_do_not_notice_hostile_ones(tmp_path: Path, long: bool) -> None:
    async with hostile_targets() as hostile, RecordTarget() as target:
        ports = [target.port, *(urlsplit(url).port or 0 for url in hostile.values())]
        async with Gateway(tmp_path / "data", egress_ports=ports) as gateway:
            for path in HEALTHY:
                await add_webhook(gateway, target.url(path), events=EVENTS)
            calm_p99_ms = await healthy_p99_ms(gateway, target, 20.0 if long else 4.0)
            ids = {
                name: await add_webhook(gateway, url, events=EVENTS, name=name, timeout_s=2.0)
                for name, url in hostile.items()
            }
            before = psutil.Process(gateway.pid).memory_info().rss
            p99_ms = await healthy_p99_ms(gateway, target, 120.0 if long else 10.0)
            grown = psutil.Process(gateway.pid).memory_info().rss - before
            assert p99_ms <= max(2 * calm_p99_ms, NOISE_MS)
            assert grown <= GROWTH_BYTES
            await assert_each_was_tried_and_explained(gateway, ids)


async def healthy_p99_ms(gateway: Gateway, target: RecordTarget, seconds: float) -> float:
    """Pushes for so long; each healthy webhook must get each call, and the p99 of all their lags is returned."""
    target.target.reset()
    switch = Switch(gateway, lines=LINES, rate_per_s=RATE_PER_S)
    pushing = asyncio.create_task(switch.run())
    await asyncio.sleep(seconds)
    switch.stop()
    await pushing
    created = {event_id for event_id, step in switch.accepted.items() if step.rank == 0}
    assert set(switch.statuses) == {202}
    lags_ns: list[int] = []
    for path in HEALTHY:
        assert not await target.delivered(path, created, timeout_s=DRAIN_S)
        lags_ns += target.record(path).lags_ns
    return float(percentiles_ms(lags_ns)["p99"])


async def assert_each_was_tried_and_explained(gateway: Gateway, ids: dict[str, str]) -> None:
    """Attempts at every one of them, all but the early answer failed, and each with a diagnosis."""
    for name, webhook_id in ids.items():
        items = (await gateway.api("GET", f"/logs?webhook_id={webhook_id}&limit=10"))["items"]
        assert items, name
        if name not in MAY_SUCCEED:
            assert {item["outcome"] for item in items} == {"failure"}, (name, items)
            assert all(item["diagnosis"] for item in items), name


MAY_SUCCEED = {"sends a gzip bomb", "answers before it is asked", "sends chunks for ever", "sends chunks of one byte"}
"""Their status is a plain 200: what comes after it is cut off, and is no reason to deliver again."""
