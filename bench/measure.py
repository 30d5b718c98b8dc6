"""One measurement: a load is sent, everything accepted arrives, and the cost of it all is divided by the events.

Invariant: a measurement begins and ends with nothing under way, so no cost of an event falls outside it and the
rate is that of accepted *and* delivered events, never of accepted ones that are still to be delivered.
"""

from __future__ import annotations

import asyncio
import os
import time
from dataclasses import dataclass, field, replace
from typing import Any

from bench import machine
from bench.plan import Plan
from bench.process import Gateway
from bench.rig import Rig, TargetClient

DRAIN_TIMEOUT_S = 90.0
POLL_S = 0.05
SETTLE_S = 0.3
"""After the last delivery: the log's last batch is still being written."""


@dataclass(frozen=True, slots=True)
class Measurement:
    """What one scenario gave. CPU is in microseconds; `lag_ms` is from the intended sending to the arrival.

    `missing` is what was accepted and did not arrive in time; `others` is the share of all cores that programs
    which have nothing to do with it took meanwhile; `notes` is anything else, by name.
    """

    events: int
    deliveries: int
    seconds: float
    gateway_us_per_event: float
    postgres_us_per_event: float
    lag_ms: dict[str, float]
    ack_ms: dict[str, float]
    peak_memory_mb: float
    missing: int
    duplicates: int
    overtaken: int
    refused: int
    others: float = 0.0
    floor_us_per_event: float | None = None
    notes: dict[str, float] = field(default_factory=dict)

    @property
    def events_per_s(self) -> float:
        return self.events / self.seconds

    @property
    def deliveries_per_s(self) -> float:
        return self.deliveries / self.seconds

    @property
    def ratio_to_floor(self) -> float | None:
        return self.gateway_us_per_event / self.floor_us_per_event if self.floor_us_per_event else None

    @property
    def all_to_floor(self) -> float | None:
        """The same with PostgreSQL's share."""
        if not self.floor_us_per_event:
            return None
        return (self.gateway_us_per_event + self.postgres_us_per_event) / self.floor_us_per_event


@dataclass(frozen=True, slots=True)
class Costs:
    """CPU seconds used so far, and the clock; `others_s` is by what does not belong to the measurement."""

    subject_s: float
    postgres_s: float
    others_s: float
    at_s: float

    @classmethod
    def of(cls, subject: int, target: TargetClient, *, postmaster: int | None = None) -> Costs:
        """`subject` is the process that is measured: the gateway, or the floor."""
        subject_s = machine.cpu_s(subject)
        postgres_s = machine.family_cpu_s(postmaster) if postmaster is not None else 0.0
        ours_s = subject_s + postgres_s + machine.cpu_s(target.pid) + machine.own_cpu_s()
        return cls(subject_s, postgres_s, machine.busy_s() - ours_s, time.monotonic())

    def others_share(self, later: Costs) -> float:
        cores = os.cpu_count() or 1
        return max(0.0, (later.others_s - self.others_s) / (later.at_s - self.at_s) / cores)


async def measure(
    rig: Rig,
    gateway: Gateway,
    target: TargetClient,
    plan: Plan,
    *,
    fan_out: float,
) -> tuple[Measurement, dict[str, Any]]:
    """Sends `plan`, waits for `fan_out` deliveries of each event; the figures, and the target's statistics."""
    await target.reset()
    postmaster = gateway.postmaster_pid()
    before = Costs.of(gateway.pid, target, postmaster=postmaster)
    report = await rig.load(plan)
    expected = round(report["accepted"] * fan_out)
    await drained(target, expected)
    await asyncio.sleep(SETTLE_S)
    after = Costs.of(gateway.pid, target, postmaster=postmaster)
    stats = await target.stats()
    events = max(1, report["accepted"])
    last_ns = max(
        (path["last_ns"] for path in stats["paths"].values() if path["delivered"]), default=report["ended_ns"]
    )
    taken = Measurement(
        events=report["accepted"],
        deliveries=stats["delivered"],
        seconds=(last_ns - report["started_ns"]) / 1e9,
        gateway_us_per_event=(after.subject_s - before.subject_s) * 1e6 / events,
        postgres_us_per_event=(after.postgres_s - before.postgres_s) * 1e6 / events,
        lag_ms=stats["lag_ms"],
        ack_ms=report["ack_ms"],
        peak_memory_mb=machine.peak_memory_mb(gateway.pid),
        missing=expected - stats["delivered"],
        duplicates=stats["duplicates"],
        overtaken=stats["overtaken"],
        refused=report["sent"] - report["accepted"],
        others=before.others_share(after),
        notes={"connections_lost": report["connections_lost"]} if report["connections_lost"] else {},
    )
    return taken, stats


async def drained(target: TargetClient, expected: int, timeout_s: float = DRAIN_TIMEOUT_S) -> bool:
    """Waits until the target has got as many distinct events (per path) as expected; False if it takes too long."""
    deadline = time.monotonic() + timeout_s
    while await target.delivered() < expected:
        if time.monotonic() > deadline:
            return False
        await asyncio.sleep(POLL_S)
    return True


async def beside_floor(
    rig: Rig, target: TargetClient, floor: int, plan: Plan, *, taken: Measurement, fan_out: int
) -> Measurement:
    """`taken` with the floor's CPU for an event of the same load; `floor` is its process."""
    await target.reset()
    before = Costs.of(floor, target)
    report = await rig.load(plan)
    await drained(target, report["accepted"] * fan_out)
    after = Costs.of(floor, target)
    cost_us = (after.subject_s - before.subject_s) * 1e6 / max(1, report["accepted"])
    return replace(taken, floor_us_per_event=cost_us, others=max(taken.others, before.others_share(after)))
