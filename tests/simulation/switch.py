"""The simulated switch: pushes events, and pushes again what was not answered 202.

Invariant: a push with a key is repeated with the same key and the same bytes, until it is answered for good.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.process import Process
    from tests.simulation.world import World

PATIENCE_S = 5.0
REPEATS = 60


@dataclass(frozen=True, slots=True)
class Push:
    """One event as the switch sends it."""

    name: str
    type: str
    call_key: str | None
    key: str | None
    payload: bytes

    @property
    def digest(self) -> bytes | None:
        return None if self.key is None else hashlib.sha256(self.type.encode() + b"\0" + self.payload).digest()

    @property
    def is_bad(self) -> bool:
        return b"bad row" in self.payload


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; status 0: nothing did."""

    status: int
    event_id: str = ""
    is_duplicate: bool = False


LOST = Answer(0)


class Switch:
    """`open` counts the pushes that are not answered for good."""

    def __init__(self, world: World, chance: Random) -> None:
        self.open = 0
        self._world = world
        self._chance = chance
        self._waiting: dict[Push, tuple[Process, Callable[[Answer], None]]] = {}

    def push(self, push: Push) -> None:
        self.open += 1
        self._send(push, REPEATS)

    def died(self, process: Process) -> None:
        """All its connections are gone."""
        for push, (at, answered) in list(self._waiting.items()):
            if at is process:
                self._world.tell("%s is lost with %s", push.name, process.name)
                answered(LOST)

    def _send(self, push: Push, repeats: int) -> None:
        world = self._world
        process = world.door()
        is_over = False

        def answered(answer: Answer) -> None:
            nonlocal is_over
            if not is_over:
                is_over = True
                self._waiting.pop(push, None)
                self._answered(push, answer, repeats)

        if process is None:
            answered(Answer(503))
            return
        self._waiting[push] = process, answered
        world.tell("%s is pushed to %s", push.name, process.name)
        process.loop.call_soon(process.receive, push, lambda answer: world.loop.call_soon(answered, answer))
        world.loop.call_later(PATIENCE_S, answered, LOST)

    def _answered(self, push: Push, answer: Answer, repeats: int) -> None:
        world = self._world
        world.tell("%s is answered %s %s", push.name, answer.status, answer.event_id)
        if answer.status == 202:
            world.ledger.answered(push.name, push.key, answer.event_id)
            if push.key is None and answer.is_duplicate:
                world.ledger.violated(f"{push.name} has no key and was answered as a duplicate")
            if push.is_bad:
                world.ledger.violated(f"{push.name} cannot be stored and was answered 202")
            if push.key is not None and repeats > 0 and self._chance.random() < 0.1:
                world.loop.call_later(0.5, self._send, push, 0)  # once more, although it is accepted
                return
        elif answer.status == 422 and not push.is_bad:
            world.ledger.violated(f"{push.name} was refused, and nothing is wrong with it")
        elif answer.status in (0, 503) and repeats > 0:
            world.loop.call_later(0.3 + self._chance.random(), self._send, push, repeats - 1)
            return
        self.open -= 1
