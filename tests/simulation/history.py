"""One history from one seed: who pushes what, what breaks when, and the end, at which all is well again.

Most histories have one or two kinds of trouble, so that each kind is seen alone, with others, and not at all.
Invariant: the same seed and the same gateway give the same history, to the last step.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random

from gateway.delivery.limits import Limits
from gateway.model import Webhook, WebhookState
from gateway.telemetry.metrics import Metrics
from tests.simulation.kernel import Stuck
from tests.simulation.patience import Patience
from tests.simulation.server import Weather
from tests.simulation.switch import Push
from tests.simulation.troubles import MIXES, PICKY, TROUBLES, Trouble
from tests.simulation.world import Make, Setting, World

TYPES = ("call.created", "call.ended")
QUIET_WITHIN_S = 300.0
LOOK_EVERY_S = 0.5
PROMPT_S = 0.002
"""The latency up to which a database leaves the gateway no other reason to wait."""
MIXED = 0.2
"""The share of histories whose troubles are all of one mix."""
_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[0-9a-f]{4}-[0-9a-f]{12}")


@dataclass(frozen=True, slots=True)
class Result:
    """What was wrong (nothing, it is to be hoped), and how it came to it where that was asked for."""

    seed: int
    violations: Sequence[str]
    story: Sequence[str]
    steps: int
    events: int


def run(
    seed: int,
    *,
    metrics: Metrics,
    make: Make | None = None,
    mix: Sequence[Trouble] | None = None,
    story: list[str] | None = None,
) -> Result:
    """Live through the history of a seed: of a certain mix of troubles, or of whichever the seed chooses."""
    chance = Random(seed)
    world = World(_setting(chance), chance, make=make or Make(), metrics=metrics, story=story)
    if mix is None:
        mix = chance.choice(MIXES) if chance.random() < MIXED else TROUBLES
    if mix is PICKY and world.server.weather.latency_s <= PROMPT_S:
        world.ledger.patience = Patience(world.ledger)
    try:
        _live(world, chance, mix)
    except Stuck as error:
        world.ledger.violated(f"everything stands still: {error}")
    finally:
        world.bury()
    names = {id: f"e{number}" for number, id in enumerate(world.database.event_ids, 1)}
    violations, told = _readable(world.ledger.violations, names), _readable(story or (), names)
    return Result(seed, violations, told, world.kernel.steps, len(names))


def _readable(lines: Sequence[str], names: dict[str, str]) -> list[str]:
    """The ids of events as `e1`, `e2`, in their order; those of webhooks as `w1`."""
    return [_ID.sub(lambda found: names.get(found[0]) or f"w{found[0][-1]}", line) for line in lines]


def _setting(chance: Random) -> Setting:
    webhooks = [webhook_of(chance, number) for number in range(1, chance.choice((1, 1, 1, 2, 2, 3)) + 1)]
    small = chance.random() < 0.6
    limits = Limits(
        queue_deliveries=chance.randint(1, 5) if small else 50,
        queue_bytes=chance.choice((1_500, 5_000, 1_000_000)),
        retries=chance.randint(1, 4) if small else 10,
        parked_rows=chance.randint(1, 6) if small else 100,
        return_rows=chance.randint(1, 8) if small else 100,
        uncommitted_entries=chance.choice((2, 6, 100)),
    )
    weather = Weather(latency_s=chance.choice((0.0005, 0.002, 0.02)))
    budget_bytes = chance.choice((3_000, 10_000_000, 10_000_000))
    return Setting(webhooks, limits, budget_bytes, weather, standbys=chance.random() < 0.08)


def webhook_of(chance: Random, number: int) -> Webhook:
    id = f"00000000-0000-7000-8000-00000000000{number}"
    return Webhook(
        id=id,
        tenant_id=1,
        name=f"target {number}",
        events=frozenset(TYPES if chance.random() < 0.8 else TYPES[:1]),
        method="POST",
        url=f"https://target.example.com/{id}",
        access=None,
        state=WebhookState.ACTIVE,
        reason=None,
        signing_secrets=(b"0" * 24,),
        timeout_s=chance.choice((0.5, 2.0)),
        max_in_flight=chance.choice((1, 1, 2, 4)),
        rate_per_s=chance.choice((None, None, None, 3.0, 20.0)),
        retry_schedule_s=chance.choice(((0.2, 1.0, 2.0), (0.1, 0.3, 0.5, 1.0, 2.0), (0.5,), (0.2, 4.0))),
        order_wait_s=chance.choice((None, 0.3, 0.7, 3.0, 3600.0, 3600.0, 3600.0)),
    )


def _live(world: World, chance: Random, mix: Sequence[Trouble]) -> None:
    until_s = chance.choice((0.5, 2.0, 6.0))
    _plan_pushes(world, chance, until_s)
    ends_s = [until_s]
    for _ in range(chance.choice((0, 1, 1, 1, 2, 2, 3, 5) if mix is TROUBLES else (1, 2, 2, 3, 5))):
        trouble = mix[int(chance.random() * len(mix))]
        for _ in range(chance.choice((1, 1, 2, 4))):
            at_s = chance.random() * until_s * 1.2
            ends_s.append(at_s + trouble(world, chance, at_s))
    healed_s = max(ends_s) + 0.2
    world.loop.call_at(healed_s, world.heal)
    _run(world, lambda: world.kernel.now > healed_s)
    _become_quiet(world, healed_s + QUIET_WITHIN_S)
    if not world.ledger.violations:
        _close(world)


def _plan_pushes(world: World, chance: Random, until_s: float) -> None:
    calls = [f"call {number}" for number in range(chance.randint(1, 4))]
    keyed, bad = chance.choice((0.0, 0.5, 1.0)), chance.choice((0.0, 0.0, 0.0, 0.1))
    for number in range(chance.randint(5, 30)):
        name = f"push {number}"
        payload = b'{"bad row":%d}' % number if chance.random() < bad else b'{"n":%d}' % number
        push = Push(
            name,
            chance.choice(TYPES),
            chance.choice(calls) if chance.random() < 0.9 else None,
            f"key {number}" if chance.random() < keyed else None,
            payload,
        )
        world.loop.call_at(0.05 + chance.random() ** 2 * until_s, world.switch.push, push)


def _run(world: World, until: Callable[[], bool]) -> None:
    violations = world.ledger.violations
    world.kernel.run(lambda: bool(violations) or until())


def _become_quiet(world: World, deadline_s: float) -> None:
    noise: str | None = "nobody has listened"

    def look() -> None:
        nonlocal noise
        noise = world.noise()
        world.loop.call_later(LOOK_EVERY_S, look)

    look()
    _run(world, lambda: noise is None or world.kernel.now > deadline_s)
    if noise is not None and not world.ledger.violations:
        world.ledger.violated(f"it does not become quiet: {noise}")


def _close(world: World) -> None:
    world.is_closing = True
    for process in world.processes:
        world.stop(process)
    deadline_s = world.kernel.now + 20.0
    _run(world, lambda: not world.processes or world.kernel.now > deadline_s)
    if world.processes:
        world.ledger.violated(f"{[process.name for process in world.processes]} do not stop")
    ends_s = world.kernel.now + 0.6
    _run(world, lambda: world.kernel.now > ends_s)
    world.ledger.close()
