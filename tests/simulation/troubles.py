"""What breaks in a history: each function plans one trouble from a moment on, and says how long it lasts.

Invariant: a trouble ends by itself, or `World.heal` ends it.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

from gateway.model import WebhookState
from tests.simulation.process import Process
from tests.simulation.server import Weather
from tests.simulation.targets import Mood
from tests.simulation.world import World

Trouble = Callable[[World, Random, float], float]


def _upon(do: Callable[[World, Process], None]) -> Callable[[World], None]:
    def apply(world: World) -> None:
        process = world.some_process()
        if process is not None:
            do(world, process)

    return apply


def _kill(world: World, chance: Random, at_s: float) -> float:
    world.loop.call_at(at_s, _upon(World.kill), world)
    return 1.0


def _stop(world: World, chance: Random, at_s: float) -> float:
    world.loop.call_at(at_s, _upon(World.stop), world)
    return 1.0


def _freeze(world: World, chance: Random, at_s: float) -> float:
    return _for_a_while(world, chance, at_s, World.freeze, World.thaw)


def _cut(world: World, chance: Random, at_s: float) -> float:
    return _for_a_while(world, chance, at_s, World.cut, World.mend)


def _for_a_while(
    world: World,
    chance: Random,
    at_s: float,
    do: Callable[[World, Process], None],
    undo: Callable[[World, Process], None],
) -> float:
    for_s = chance.choice((0.5, 2.0, 4.0, 12.0)) * (0.8 + 0.4 * chance.random())

    def begin(world: World, process: Process) -> None:
        do(world, process)
        world.loop.call_later(for_s, undo, world, process)
        if for_s > 8.0 or chance.random() < 0.1:
            world.start()  # which takes over when the lease has run out

    world.loop.call_at(at_s, _upon(begin), world)
    return for_s


def _restart_database(world: World, chance: Random, at_s: float) -> float:
    world.loop.call_at(at_s, world.restart_database)
    return 1.0


def _freeze_database(world: World, chance: Random, at_s: float) -> float:
    for_s = chance.choice((0.5, 2.0, 3.0, 5.0))
    world.loop.call_at(at_s, world.freeze_database, for_s)
    return for_s


def _bad_weather(world: World, chance: Random, at_s: float) -> float:
    bad = Weather(
        latency_s=chance.choice((0.001, 0.01, 0.1)),
        lost_before=chance.choice((0.0, 0.0, 0.05, 0.2)),
        lost_after=chance.choice((0.0, 0.0, 0.05, 0.2)),
        stalled=chance.choice((0.0, 0.0, 0.03, 0.1)),
        refused=chance.choice((0.0, 0.0, 0.1, 1.0)),
    )
    for_s = chance.choice((0.5, 2.0, 5.0))

    def begin() -> None:
        usual, world.server.weather = world.server.weather, bad
        world.tell("the weather: %s", bad)
        world.loop.call_later(for_s, lambda: setattr(world.server, "weather", usual))

    world.loop.call_at(at_s, begin)
    return for_s


def _late_commits(world: World, chance: Random, at_s: float) -> float:
    """Every fifth statement or so commits long after its client has given it up."""
    late = Weather(latency_s=chance.choice((0.001, 0.01)), stalled=chance.choice((0.1, 0.3)))
    for_s = chance.choice((0.5, 2.0, 5.0))
    world.loop.call_at(at_s, setattr, world.server, "weather", late)
    world.loop.call_at(at_s + for_s, setattr, world.server, "weather", Weather())
    return for_s


def _bad_target(world: World, chance: Random, at_s: float) -> float:
    share = chance.choice((0.2, 0.5, 1.0))
    mood = _bad_mood(chance, share)
    mood.latency_s = chance.choice((0.001, 0.05, 0.3))
    webhook_id = chance.choice(list(world.webhooks))
    for_s = chance.choice((0.5, 2.0, 6.0))

    def begin() -> None:
        world.tell("target %s: %s", webhook_id[-1], mood)
        world.targets.moods[webhook_id] = mood
        world.loop.call_later(for_s, world.targets.moods.__setitem__, webhook_id, Mood())

    world.loop.call_at(at_s, begin)
    return for_s


def _bad_mood(chance: Random, share: float) -> Mood:
    few = share / 4
    return chance.choice(
        (
            Mood(refuses=True),
            Mood(fails=share),
            Mood(rejects=share),
            Mood(swallows=share),
            Mood(hangs=share),
            Mood(fails=few, rejects=few, swallows=few, hangs=few),
        )
    )


def _pause(world: World, chance: Random, at_s: float) -> float:
    webhook_id = chance.choice(list(world.webhooks))
    for_s = chance.random() * 2.0
    world.loop.call_at(at_s, world.set_state, webhook_id, WebhookState.PAUSED)
    world.loop.call_at(at_s + for_s, world.set_state, webhook_id, WebhookState.ACTIVE)
    return for_s


def _replay(world: World, chance: Random, at_s: float) -> float:
    def begin() -> None:
        pairs = [(event_id, w) for event_id, ids in world.ledger.matched.items() for w in ids]
        if pairs:
            world.replay(chance.choice(pairs))

    world.loop.call_at(at_s, begin)
    return 0.5


def _picky_target(world: World, chance: Random, at_s: float) -> float:
    """It is well, and does not like some events: no breaker opens, and their calls wait."""
    webhook_id = chance.choice(list(world.webhooks))
    for_s = chance.choice((2.0, 6.0))
    mood = Mood(rejects=chance.choice((0.2, 0.5, 0.8)))
    world.loop.call_at(at_s, world.targets.moods.__setitem__, webhook_id, mood)
    world.loop.call_at(at_s + for_s, world.targets.moods.__setitem__, webhook_id, Mood())
    return for_s


TROUBLES: tuple[Trouble, ...] = (
    *(_kill, _kill, _stop, _freeze, _cut, _restart_database, _freeze_database),
    *(_bad_weather, _bad_weather, _bad_target, _bad_target, _bad_target, _pause, _replay),
)
"""What may happen in any history."""

OWNERS: tuple[Trouble, ...] = (_freeze, _cut, _kill, _bad_weather)
"""Several processes believe that the shards are theirs."""
DOUBTS: tuple[Trouble, ...] = (_bad_weather, _restart_database, _kill)
"""Commits whose outcome is unknown."""
LATE: tuple[Trouble, ...] = (_late_commits, _late_commits, _kill, _bad_target)
"""What has been given up is committed all the same, and may find another owner."""
DOWN: tuple[Trouble, ...] = (_bad_target,)
"""Targets that are down."""
PICKY: tuple[Trouble, ...] = (_picky_target,)
"""Nothing is wrong but single events: whatever waits, waits for those of its call alone."""
MIXES = (OWNERS, DOUBTS, LATE, DOWN, PICKY)
