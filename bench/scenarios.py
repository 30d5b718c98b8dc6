"""The scenarios: which webhooks there are, what is sent, and what goes wrong meanwhile.

Invariant: every scenario has a gateway and a target of its own, set up over the API as an integrator would.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from bench import machine
from bench.load import Plan
from bench.measure import Measurement, drained, floor_us_per_event, measure
from bench.process import ADMIN_TOKEN, Gateway
from bench.rig import Preparation, Rig, TargetClient, pin, plan
from bench.traffic import TYPES

WARM_UP_S = 1.0
SINGLE_CONNECTIONS = 64
BATCH_CONNECTIONS = 4
BATCH = 100
BATCH_DELIVERIES_PER_S = 8000
"""Batches are accepted much faster than they can be delivered; so much is pushed for each second of a load."""
MANY_WEBHOOKS = 1000
SET_UP_AT_ONCE = 20
BACKLOG_EVENTS = 200_000
QUICK_BACKLOG_EVENTS = 20_000
BACKLOG_S = 40.0
"""A backlog that is not complete by then stays smaller; the notes say how large it was."""
RECOVERED_EVENTS = 100_000
RETRY_SOON = ",".join(["1s"] + ["2s"] * 98)
"""So that a drain is bound by the gateway, and not by waits of hours that the default schedule makes."""
HALF_OF_UNKNOWN_PER_S = 2000.0
"""Stands for half the greatest rate where that was not measured in the same run."""


@dataclass(slots=True)
class Run:
    """What the scenarios of one run share: the rig, how long each sends, and the rates that were found so far."""

    rig: Rig
    seconds: float
    quick: bool
    found: dict[str, Measurement] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`default` ones are what `make bench` runs; the others are asked for by name."""

    name: str
    title: str
    take: Callable[[Run], Awaitable[Measurement]]
    default: bool = True


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
        cost_us = await floor_us_per_event(run.rig, target, floor.pid, load, fan_out=webhooks)
        return replace(taken, floor_us_per_event=cost_us)


async def lag(run: Run, *, rate_per_s: float | None) -> Measurement:
    """A steady rate, arrivals at random; None is half of the greatest rate that this run found."""
    if rate_per_s is None:
        fastest = run.found.get("single-1")
        rate_per_s = fastest.events_per_s / 2 if fastest else HALF_OF_UNKNOWN_PER_S
    async with AsyncExitStack() as stack:
        target = await run.rig.target(stack)
        gateway = await run.rig.gateway(stack, target)
        await add_webhook(gateway, target.url("/t/0"), access_id=await add_access(gateway))
        await warm_up(run, gateway, target, fan_out=1)
        load = plan(gateway, run.seconds, rate_per_s=rate_per_s, poisson=True)
        taken, _ = await measure(run.rig, gateway, target, load, fan_out=1)
        return replace(taken, notes={"rate_per_s": rate_per_s})


async def many(run: Run, *, skew: float) -> Measurement:
    """A thousand tenants with a webhook each, which share the load evenly, or by Zipf's law."""
    async with AsyncExitStack() as stack:
        target = await run.rig.target(stack)
        gateway = await run.rig.gateway(stack, target, prepared=Preparation("many", add_many))
        shape: dict[str, Any] = {"tenants": MANY_WEBHOOKS, "skew": skew, "connections": SINGLE_CONNECTIONS}
        await warm_up(run, gateway, target, fan_out=1, **shape)
        taken, _ = await measure(run.rig, gateway, target, plan(gateway, run.seconds, **shape), fan_out=1)
        return taken


async def slow_target(run: Run) -> Measurement:
    """A target that takes 200 ms over each answer, at 1,000 events a second: 200 are under way at any time."""
    async with AsyncExitStack() as stack:
        target = await run.rig.target(stack)
        gateway = await run.rig.gateway(stack, target)
        await add_webhook(gateway, target.url("/t/0"), max_in_flight=256)
        await target.set("*", latency_ms=200)
        taken, _ = await measure(run.rig, gateway, target, plan(gateway, run.seconds, rate_per_s=1000), fan_out=1)
        return taken


async def one_failing(run: Run) -> Measurement:
    """Ten webhooks at 300 events a second, of which one answers 503 to everything; the figures are the other nine's."""
    async with AsyncExitStack() as stack:
        target = await run.rig.target(stack)
        gateway = await run.rig.gateway(stack, target)
        for place in range(10):
            await add_webhook(gateway, target.url(f"/t/{place}"))
        await target.set("/t/0", failure_rate=1.0, failure_status=503)
        taken, stats = await measure(run.rig, gateway, target, plan(gateway, run.seconds, rate_per_s=300), fan_out=9)
        return replace(taken, notes={"arrivals_at_failing": stats["paths"]["/t/0"]["arrivals"]})


async def one_hanging(run: Run, *, seconds: float | None = None) -> Measurement:
    """A target that never answers beside a healthy one, 100 events a second; the figures are the healthy one's."""
    async with AsyncExitStack() as stack:
        target = await run.rig.target(stack)
        gateway = await run.rig.gateway(stack, target)
        await add_webhook(gateway, target.url("/t/hung"))
        await add_webhook(gateway, target.url("/t/healthy"))
        await target.set("/t/hung", hang=True)
        load = plan(gateway, seconds or run.seconds, rate_per_s=100)
        taken, stats = await measure(run.rig, gateway, target, load, fan_out=1)
        return replace(taken, notes={"arrivals_at_hung": stats["paths"]["/t/hung"]["arrivals"]})


async def backlog(run: Run) -> Measurement:
    """A dead webhook gathers a backlog beside two healthy ones; then it comes back and everything is delivered."""
    events = QUICK_BACKLOG_EVENTS if run.quick else BACKLOG_EVENTS
    async with AsyncExitStack() as stack:
        target = await run.rig.target(stack)
        gateway = await run.rig.gateway(stack, target, environment={"GATEWAY_RETRY_SCHEDULE": RETRY_SOON})
        for name in ("dead", "healthy-1", "healthy-2"):
            await add_webhook(gateway, target.url(f"/t/{name}"), max_in_flight=64)
        await target.set("/t/dead", failure_rate=1.0, failure_status=503)
        load = plan(gateway, BACKLOG_S, batch=BATCH, connections=BATCH_CONNECTIONS, max_events=events)
        taken, _ = await measure(run.rig, gateway, target, load, fan_out=2)
        await target.set("/t/dead", failure_rate=0.0)
        drain_s = await _timed(drained(target, taken.events * 3))
        stats = await target.stats()
        return replace(
            taken,
            missing=taken.events * 3 - stats["delivered"],
            overtaken=stats["overtaken"],
            duplicates=stats["duplicates"],
            peak_memory_mb=machine.peak_memory_mb(gateway.pid),
            notes={"backlog": taken.events, "drained_per_s": taken.events / drain_s},
        )


async def restart(run: Run) -> Measurement:
    """The gateway is killed over a backlog of a dead webhook; how long until it is ready, and all delivered."""
    events = QUICK_BACKLOG_EVENTS if run.quick else RECOVERED_EVENTS
    async with AsyncExitStack() as stack:
        target = await run.rig.target(stack)
        gateway = await run.rig.gateway(stack, target, environment={"GATEWAY_RETRY_SCHEDULE": RETRY_SOON})
        await add_webhook(gateway, target.url("/t/dead"), max_in_flight=64)
        await target.set("*", failure_rate=1.0, failure_status=503)
        load = plan(gateway, BACKLOG_S, batch=BATCH, connections=BATCH_CONNECTIONS, max_events=events)
        taken, _ = await measure(run.rig, gateway, target, load, fan_out=0)
        gateway.kill9()
        await gateway.ended()
        ready_s = await gateway.start()
        pin(gateway)
        memory_mb = machine.peak_memory_mb(gateway.pid)
        await target.set("*", failure_rate=0.0)
        drain_s = await _timed(drained(target, taken.events))
        stats = await target.stats()
        return replace(
            taken,
            deliveries=stats["delivered"],
            missing=taken.events - stats["delivered"],
            overtaken=stats["overtaken"],
            duplicates=stats["duplicates"],
            peak_memory_mb=memory_mb,
            notes={"unsettled": taken.events, "ready_ms": ready_s * 1e3, "then_drained_ms": drain_s * 1e3},
        )


async def _timed(work: Awaitable[object]) -> float:
    started = time.monotonic()
    await work
    return time.monotonic() - started


async def warm_up(run: Run, gateway: Gateway, target: TargetClient, *, fan_out: int, **shape: Any) -> None:
    """Connections, caches and the interpreter's own specialisation are not what is measured."""
    report = await run.rig.load(plan(gateway, WARM_UP_S, **shape))
    await drained(target, report["accepted"] * fan_out)


async def add_access(gateway: Gateway) -> str:
    credential = {"key_name": "Authorization", "client_id": "bench", "client_secret": "secret"}
    created: Mapping[str, Any] = await gateway.api("POST", "/access", {"name": "bench", "type": "basic", **credential})
    return str(created["id"])


async def add_webhook(gateway: Gateway, url: str, *, access_id: str | None = None, **settings: Any) -> str:
    """A webhook for all four events; `settings` are further members of the resource."""
    body = {"name": url.rpartition("/")[2], "events": list(TYPES), "method": "POST", "url": url, **settings}
    if access_id is not None:
        body["access_id"] = access_id
    created: Mapping[str, Any] = await gateway.api("POST", "/webhooks", body)
    return str(created["id"])


async def add_many(gateway: Gateway, target: TargetClient) -> None:
    """`MANY_WEBHOOKS` tenants with a webhook each."""
    for first in range(0, MANY_WEBHOOKS, SET_UP_AT_ONCE):
        async with asyncio.TaskGroup() as group:
            for place in range(first, first + SET_UP_AT_ONCE):
                added = add_webhook(gateway, target.url(f"/t/{place:04}"), tenant=f"tenant-{place:04}")
                group.create_task(added)


SCENARIOS = (
    Scenario("single-1", "single pushes, 1 webhook", partial(throughput, webhooks=1)),
    Scenario("single-3", "single pushes, 3 webhooks", partial(throughput, webhooks=3)),
    Scenario("single-10", "single pushes, 10 webhooks", partial(throughput, webhooks=10)),
    Scenario("raw-1", "single raw pushes, 1 webhook", partial(throughput, raw=True), default=False),
    Scenario("batch-1", "batches of 100, 1 webhook", partial(throughput, batch=BATCH)),
    Scenario("batch-3", "batches of 100, 3 webhooks", partial(throughput, webhooks=3, batch=BATCH)),
    Scenario("batch-10", "batches of 100, 10 webhooks", partial(throughput, webhooks=10, batch=BATCH)),
    Scenario("tls-1", "single pushes, 1 webhook over TLS", partial(throughput, tls=True)),
    Scenario("many-even", "1,000 webhooks, evenly", partial(many, skew=0.0)),
    Scenario("many-skewed", "1,000 webhooks, skewed", partial(many, skew=1.0)),
    Scenario("lag-400", "400 events/s, 1 webhook", partial(lag, rate_per_s=400)),
    Scenario("lag-half", "half the greatest rate, 1 webhook", partial(lag, rate_per_s=None)),
    Scenario("slow", "target of 200 ms, 1,000 events/s", slow_target),
    Scenario("failing", "1 of 10 targets fails, 300 events/s", one_failing),
    Scenario("hung", "1 of 2 targets hangs, 100 events/s", one_hanging),
    Scenario("hung-60s", "the same for a minute", partial(one_hanging, seconds=60.0), default=False),
    Scenario("backlog", "200,000 undelivered of a dead webhook", backlog),
    Scenario("restart", "killed over 100,000 undelivered", restart, default=False),
)
