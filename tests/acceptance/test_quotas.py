"""A tenant that pushes more than it may: it is told when to go on, the others are not held up, and the books agree."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Sequence
from typing import Any

import pytest

from gateway.catalog import BY_NAME
from tests.acceptance.capture import Door
from tests.acceptance.conftest import NewDataDir
from tests.acceptance.program import Gateway

SAMPLE = json.loads(BY_NAME["call.created"].sample)
RATE = 20


@pytest.fixture
async def gateway(new_data_dir: NewDataDir) -> AsyncIterator[Gateway]:
    environment = {"GATEWAY_TENANT_RATE_PER_S": str(RATE)}
    async with Gateway(new_data_dir(), environment=environment) as gateway:
        for name in ("loud", "quiet"):
            await gateway.api("POST", "/tenants", {"name": name})
        yield gateway


def batch(names: Sequence[str]) -> list[dict[str, Any]]:
    return [{"type": "call.created", "data": SAMPLE, "tenant": name} for name in names]


async def stored(gateway: Gateway, tenant: str) -> set[str]:
    rows = await gateway.sql(
        "SELECT e.id::text FROM events AS e JOIN tenants AS t ON t.id = e.tenant_id WHERE t.name = $1", tenant
    )
    return {row["id"] for row in rows}


async def test_what_is_over_the_quota_is_refused_item_by_item_and_what_is_accepted_is_what_is_stored(
    gateway: Gateway,
) -> None:
    results = await gateway.push(batch(["loud", "quiet"] * RATE + ["loud"] * 50))
    loud = [result for result, name in zip(results, ["loud", "quiet"] * RATE + ["loud"] * 50, strict=True)
            if name == "loud"]  # fmt: skip
    assert all("id" in result for result in loud[:RATE]), "the first ones, so that none overtakes an earlier one"
    assert {(result["error"]["status"], result["error"]["retry_after_s"]) for result in loud[RATE:]} == {(429, 1)}
    assert await stored(gateway, "loud") == {result["id"] for result in loud[:RATE]}
    assert len(await stored(gateway, "quiet")) == RATE


async def test_a_push_over_the_quota_and_a_batch_that_is_all_over_it_are_answered_429(gateway: Gateway) -> None:
    await gateway.push(batch(["loud"] * 10 * RATE))
    async with Door(gateway) as door:
        for answer in (
            await door.push(tenant="loud"),
            await door.post("/v1/events/call.created", BY_NAME["call.created"].sample, {"X-Tenant": "loud"}),
            await door.post("/v1/events/batch", json.dumps(batch(["loud"] * 5)).encode()),
        ):
            assert (answer.status, answer.json["type"]) == (429, "/problems/over-quota")
            assert answer.headers["Retry-After"] == "1"
            assert answer.headers["Content-Type"].startswith("application/problem+json")
        assert (await door.push(tenant="quiet")).status == 202
    assert 'gateway_events_rejected_total{reason="over-quota"}' in await gateway.metrics()


async def test_a_switch_that_pushes_again_what_was_refused_gets_everything_in_once(gateway: Gateway) -> None:
    await gateway.api("PATCH", f"/tenants/{await tenant_id(gateway, 'loud')}", {"rate_per_s": 400})
    waiting = [{**event, "id": f"e{number}"} for number, event in enumerate(batch(["loud"] * 1000))]
    accepted: set[str] = set()
    async with Door(gateway) as door:
        while waiting:
            answer = await door.post("/v1/events/batch", json.dumps(waiting).encode())
            results = answer.json["results"] if answer.status == 202 else [{"error": {}}] * len(waiting)
            accepted |= {result["id"] for result in results if "id" in result}
            waiting = [event for event, result in zip(waiting, results, strict=True) if "error" in result]
            await asyncio.sleep(1.0 if waiting else 0.0)  # as it was told
    assert len(accepted) == 1000 and await stored(gateway, "loud") == accepted


async def tenant_id(gateway: Gateway, name: str) -> int:
    items = (await gateway.api("GET", "/tenants"))["items"]
    return next(int(item["id"]) for item in items if item["name"] == name)
