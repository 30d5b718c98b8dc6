"""Scenarios of a healthy world: how many events, at what cost, how late.

Invariant: nothing fails here, so whatever is late or missing is the gateway's doing.
"""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import Any

from bench import report
from bench.measure import Measurement, beside_floor, measure
from bench.plan import Plan
from bench.process import ADMIN_TOKEN, Gateway
from bench.rig import Preparation, TargetClient, plan
from bench.scenario import BATCH_CONNECTIONS, Run, add_access, add_webhook, warm_up

SINGLE_CONNECTIONS = 64
BATCH_DELIVERIES_PER_S = 8000
"""Batches are accepted much faster than they can be delivered; so much is pushed for each second of a load."""
MANY_WEBHOOKS = 1000
SET_UP_AT_ONCE = 20
UNKNOWN_PER_S = 4000.0
"""Stands for full speed where it has never been measured."""


async def throughput(
    run: Run, *, webhooks: int = 1, batch: int = 1, raw: bool = False, tls: bool = False
) -> Measurement:
    """As many events as go, to so many webhooks each; then the same through the floor."""
    connections = SINGLE_CONNECTIONS if batch == 1 else BATCH_CONNECTIONS
    async with AsyncExitStack() as stack:
        target = await run.rig.target(stack)
        gateway = await run.rig.gateway(stack, target)
        urls = [target.url(f"/t/{place}", tls=tls) for place in range(webhooks)]
        access = await add_access(gateway)
        for url in urls:
            await add_webhook(gateway, url, access_id=access)
        shape: dict[str, Any] = {"batch": batch, "raw": raw, "connections": connections}
        if batch > 1:
            shape["max_events"] = round(run.seconds * BATCH_DELIVERIES_PER_S / webhooks / batch) * batch
        await warm_up(run, gateway, target, fan_out=webhooks, **shape)
        taken, _ = await measure(run.rig, gateway, target, plan(gateway, run.seconds, **shape), fan_out=webhooks)
        await gateway.close()
        floor = await run.rig.floor(stack, urls)
        load = Plan(
            url=f"http://127.0.0.1:{floor.ports['port']}", token=ADMIN_TOKEN, seconds=max(1.0, run.seconds / 2), **shape
        )
        return await beside_floor(run.rig, target, floor.pid, load, taken=taken, fan_out=webhooks)


async def accept(run: Run, *, batch: int) -> Measurement:
    """No webhook at all: what it costs to take events in and commit them."""
    async with AsyncExitStack() as stack:
        target = await run.rig.target(stack)
        gateway = await run.rig.gateway(stack, target)
        shape: dict[str, Any] = {"batch": batch, "connections": BATCH_CONNECTIONS}
        await warm_up(run, gateway, target, fan_out=0, **shape)
        taken, _ = await measure(run.rig, gateway, target, plan(gateway, run.seconds, **shape), fan_out=0)
        return taken


async def lag(run: Run, *, rate_per_s: float | None) -> Measurement:
    """A steady rate, arrivals at random; None is half of full speed."""
    rate_per_s = rate_per_s or _full_speed_per_s(run) / 2
    async with AsyncExitStack() as stack:
        target = await run.rig.target(stack)
        gateway = await run.rig.gateway(stack, target)
        await add_webhook(gateway, target.url("/t/0"), access_id=await add_access(gateway))
        await warm_up(run, gateway, target, fan_out=1)
        load = plan(gateway, run.seconds, rate_per_s=rate_per_s, poisson=True)
        taken, _ = await measure(run.rig, gateway, target, load, fan_out=1)
        return replace(taken, notes={**taken.notes, "rate_per_s": rate_per_s})


def _full_speed_per_s(run: Run) -> float:
    """What `single-1` reached in this run, or else in the baseline."""
    if taken := run.found.get("single-1"):
        return taken.events_per_s
    baseline = report.read(report.BASELINE) or {}
    return float(baseline.get("scenarios", {}).get("single-1", {}).get("events_per_s", UNKNOWN_PER_S))


async def many(run: Run, *, skew: float) -> Measurement:
    """A thousand tenants with a webhook each, which share the load evenly, or by Zipf's law."""
    async with AsyncExitStack() as stack:
        target = await run.rig.target(stack)
        gateway = await run.rig.gateway(stack, target, prepared=Preparation("many", add_many))
        shape: dict[str, Any] = {"tenants": MANY_WEBHOOKS, "skew": skew, "connections": SINGLE_CONNECTIONS}
        await warm_up(run, gateway, target, fan_out=1, **shape)
        taken, _ = await measure(run.rig, gateway, target, plan(gateway, run.seconds, **shape), fan_out=1)
        return taken


async def add_many(gateway: Gateway, target: TargetClient) -> None:
    """`MANY_WEBHOOKS` tenants with a webhook each."""
    for first in range(0, MANY_WEBHOOKS, SET_UP_AT_ONCE):
        async with asyncio.TaskGroup() as group:
            for place in range(first, first + SET_UP_AT_ONCE):
                added = add_webhook(gateway, target.url(f"/t/{place:04}"), tenant=f"tenant-{place:04}")
                group.create_task(added)
