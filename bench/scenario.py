"""What scenarios are made of: the run that they share, and how a gateway is set up for one.

Invariant: every scenario has a gateway and a target of its own, set up over the API as an integrator would.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from bench.measure import Measurement, drained
from bench.process import Gateway
from bench.rig import Rig, TargetClient, plan
from bench.traffic import TYPES

WARM_UP_S = 1.0
BATCH = 100
BATCH_CONNECTIONS = 4


@dataclass(slots=True)
class Run:
    """What the scenarios of one run share: the rig, how long each sends, and the rates that were found so far."""

    rig: Rig
    seconds: float
    quick: bool
    found: dict[str, Measurement] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Scenario:
    """`default` ones are what `make bench` runs; the others are asked for by name.

    `paced` ones keep to a schedule: of them the lag is of interest, of the others the rate.
    """

    name: str
    title: str
    take: Callable[[Run], Awaitable[Measurement]]
    default: bool = True
    paced: bool = False


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
