"""What a scrape of the whole program says after known traffic."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import ClientSession
from prometheus_client.parser import text_string_to_metric_families

from bench.process import ADMIN_TOKEN
from tests.acceptance.program import Gateway, RecordTarget, add_webhook

PAYLOAD = json.loads((Path(__file__).parents[2] / "gateway" / "samples" / "call.created.json").read_text())


@pytest.fixture
async def target() -> AsyncIterator[RecordTarget]:
    async with RecordTarget() as target:
        yield target


@pytest.fixture
async def gateway(tmp_path: Path, target: RecordTarget) -> AsyncIterator[Gateway]:
    quick = {"GATEWAY_RETRY_SCHEDULE": "1ms,1ms"}
    async with Gateway(tmp_path / "data", egress_ports=[target.port], environment=quick) as gateway:
        yield gateway


async def push(gateway: Gateway, body: dict[str, Any]) -> int:
    headers = {"Authorization": f"Bearer {ADMIN_TOKEN}"}
    async with ClientSession(headers=headers) as session, session.post(f"{gateway.url}/v1/events", json=body) as answer:
        return answer.status


async def scraped(gateway: Gateway, name: str, **labels: str) -> float:
    families = text_string_to_metric_families(await gateway.metrics())
    found = [
        sample.value
        for family in families
        for sample in family.samples
        if sample.name == name and sample.labels == labels
    ]
    return sum(found)


async def until(gateway: Gateway, value: float, name: str, **labels: str) -> None:
    """Scrapes as Prometheus would, until the value is there; the test's time limit ends it otherwise."""
    while await scraped(gateway, name, **labels) != value:
        await asyncio.sleep(0.05)


async def test_an_event_is_counted_on_its_way_in_and_out(gateway: Gateway, target: RecordTarget) -> None:
    await add_webhook(gateway, target.url("/t/well"))
    assert await push(gateway, {"type": "call.created", "data": PAYLOAD, "id": "one"}) == 202
    assert await push(gateway, {"type": "call.created", "data": PAYLOAD, "id": "one"}) == 202
    await until(gateway, 1, "gateway_deliveries_total", outcome="success")
    assert await scraped(gateway, "gateway_events_accepted_total", type="call.created") == 1
    assert await scraped(gateway, "gateway_events_duplicate_total") == 1
    assert await scraped(gateway, "gateway_attempts_total", outcome="success") == 1
    assert await scraped(gateway, "gateway_delivery_lag_seconds_count") == 1
    await until(gateway, 1, "gateway_recorder_batch_attempts_sum")


async def test_a_delivery_that_used_up_its_schedule_is_counted_once(gateway: Gateway, target: RecordTarget) -> None:
    target.set("/t/ill", failure_rate=1.0)
    await add_webhook(gateway, target.url("/t/ill"))
    assert await push(gateway, {"type": "call.created", "data": PAYLOAD}) == 202
    await until(gateway, 1, "gateway_deliveries_total", outcome="failure")
    assert await scraped(gateway, "gateway_attempts_total", outcome="http_5xx") == 3
    assert await scraped(gateway, "gateway_deliveries_total", outcome="success") == 0


async def test_a_refused_push_is_counted_by_its_reason(gateway: Gateway) -> None:
    assert await push(gateway, {"type": "call.vanished", "data": PAYLOAD}) == 422
    assert await push(gateway, {"type": "call.created", "data": {}}) == 422
    counted = [
        line for line in (await gateway.metrics()).splitlines() if line.startswith("gateway_events_rejected_total")
    ]
    assert sum(float(line.rpartition(" ")[2]) for line in counted) == 2


async def test_each_webhook_has_its_lane(gateway: Gateway, target: RecordTarget) -> None:
    target.set("/t/hung", hang=True)
    webhook_id = await add_webhook(gateway, target.url("/t/hung"), max_in_flight=1)
    for call_id in range(3):
        assert await push(gateway, {"type": "call.created", "data": PAYLOAD | {"call_id": call_id}}) == 202
    await until(gateway, 1, "gateway_lane_in_flight", webhook=webhook_id)
    await until(gateway, 2, "gateway_lane_depth", webhook=webhook_id)
    assert await scraped(gateway, "gateway_lane_oldest_age_seconds", webhook=webhook_id) > 0
