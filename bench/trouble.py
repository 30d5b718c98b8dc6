"""Scenarios of a world where things go wrong: slow, failing, hanging and dead targets, and a gateway that is killed.

Invariant: the figures are those of the healthy webhooks; what befell the others is in the notes.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from dataclasses import replace

from bench import machine
from bench.measure import Measurement, drained, measure
from bench.rig import pin, plan
from bench.scenario import BATCH, BATCH_CONNECTIONS, Run, add_webhook

BACKLOG_EVENTS = 200_000
QUICK_BACKLOG_EVENTS = 20_000
BACKLOG_S = 40.0
"""A backlog that is not complete by then stays smaller; the notes say how large it was."""
STEADY_PER_S = 1000.0
RECOVERED_EVENTS = 100_000
RETRY_SOON = ",".join(["1s"] + ["2s"] * 98)
"""So that a drain is bound by the gateway, and not by waits of hours that the default schedule makes."""


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
        return replace(taken, notes={**taken.notes, "arrivals_at_failing": stats["paths"]["/t/0"]["arrivals"]})


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
        return replace(taken, notes={**taken.notes, "arrivals_at_hung": stats["paths"]["/t/hung"]["arrivals"]})


async def backlog(run: Run) -> Measurement:
    """A dead webhook gathers a backlog beside two healthy ones; then it comes back and everything is delivered.

    The healthy ones' lag at a steady rate is taken while the third still answers, and again beside the whole backlog.
    """
    events = QUICK_BACKLOG_EVENTS if run.quick else BACKLOG_EVENTS
    async with AsyncExitStack() as stack:
        target = await run.rig.target(stack)
        gateway = await run.rig.gateway(stack, target, environment={"GATEWAY_RETRY_SCHEDULE": RETRY_SOON})
        for name in ("dead", "healthy-1", "healthy-2"):
            await add_webhook(gateway, target.url(f"/t/{name}"), max_in_flight=64)
        steady = plan(gateway, run.seconds / 2, rate_per_s=STEADY_PER_S, poisson=True)
        alone, _ = await measure(run.rig, gateway, target, steady, fan_out=3)
        await target.set("/t/dead", failure_rate=1.0, failure_status=503)
        load = plan(gateway, BACKLOG_S, batch=BATCH, connections=BATCH_CONNECTIONS, max_events=events)
        taken, _ = await measure(run.rig, gateway, target, load, fan_out=2)
        beside, _ = await measure(run.rig, gateway, target, steady, fan_out=2)
        held = taken.events + beside.events
        await target.reset()
        await target.set("/t/dead", failure_rate=0.0)
        drain_s = await _timed(drained(target, held))
        stats = await target.stats()
        return replace(
            taken,
            missing=taken.missing + beside.missing + held - stats["delivered"],
            overtaken=taken.overtaken + beside.overtaken + stats["overtaken"],
            duplicates=taken.duplicates + beside.duplicates + stats["duplicates"],
            peak_memory_mb=machine.peak_memory_mb(gateway.pid),
            others=max(taken.others, alone.others, beside.others),
            notes={
                **taken.notes,
                "backlog": held,
                "drained_per_s": held / drain_s,
                "steady_p99_ms": alone.lag_ms["p99"],
                "beside_it_p99_ms": beside.lag_ms["p99"],
            },
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
            notes={
                **taken.notes,
                "unsettled": taken.events,
                "ready_ms": ready_s * 1e3,
                "then_drained_ms": drain_s * 1e3,
            },
        )


async def _timed(work: Awaitable[object]) -> float:
    started = time.monotonic()
    await work
    return time.monotonic() - started
