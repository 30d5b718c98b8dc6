"""One request on its way to its outcome, and the deadlines of all that are.

Invariant: an attempt ends once, and from then on no deadline knows it.
"""

from __future__ import annotations

import asyncio
import time
from typing import Protocol

from gateway.delivery import failures
from gateway.delivery.transport import Done, Request
from gateway.model import ErrorKind, Outcome

TICK_S = 0.05
"""How late a coarse deadline may be noticed."""
COARSE_FROM_S = 1.0
"""Timeouts from here on are coarse; a shorter one has a timer of its own, which costs several times as much."""


class Carrier(Protocol):
    """Where an attempt is: waiting in a pool, at a dial, or on a connection."""

    def drop(self, attempt: Attempt) -> None:
        """Let go of it, and of whatever was held for it alone."""


class Attempt:
    """`wire` is its whole request; `doing` is what it is reported as, should the deadline pass now.

    `phase` is the one of `PHASES` that it is in, `phases_ms` how long those before it took.
    """

    __slots__ = (
        *("_deadlines", "_done", "carrier", "doing", "phase", "phases_ms", "started_s", "target", "timeout_s", "wire"),
    )

    def __init__(self, request: Request, wire: bytes, done: Done, deadlines: Deadlines) -> None:
        self.wire = wire
        self.target = request.target
        self.timeout_s = request.timeout_s
        self.started_s = time.monotonic()
        self.carrier: Carrier | None = None
        self.doing = ErrorKind.TIMEOUT
        self.phase = "queued"
        self.phases_ms: tuple[tuple[str, float], ...] = ()
        self._done = done
        self._deadlines = deadlines
        deadlines.watch(self)

    def end(self, outcome: Outcome) -> None:
        self._deadlines.forget(self)
        try:
            self._done(outcome)
        except Exception as error:  # it never should; but what it would unwind here belongs to other attempts too
            told = {"message": "an attempt's outcome could not be taken", "exception": error}
            asyncio.get_running_loop().call_exception_handler(told)

    def fail(self, failure: failures.Failure) -> None:
        """End without an answer. The carrier lets go first: what `done` starts next shall find room."""
        kind, detail = failure
        carrier, self.carrier = self.carrier, None
        if carrier is not None:
            carrier.drop(self)
        duration_s = time.monotonic() - self.started_s
        rest_ms = max(duration_s * 1000 - sum(ms for _, ms in self.phases_ms), 0.0)
        phases_ms = (*self.phases_ms, (self.phase, rest_ms))
        self.end(Outcome(int(duration_s * 1_000_000), error=kind, detail=detail, phases_ms=phases_ms))

    def expire(self) -> None:
        self.fail(failures.of_timeout(self.doing, self.timeout_s))

    def abandon(self) -> None:
        self.fail(failures.of_abandonment())


class Deadlines:
    """A wheel of slots `TICK_S` wide, turned by one timer that runs only while something is watched."""

    def __init__(self) -> None:
        self._slots: dict[int, set[Attempt]] = {}
        self._next_slot = 0
        self._turning: asyncio.TimerHandle | None = None
        self._exact: dict[Attempt, asyncio.TimerHandle] = {}

    def watch(self, attempt: Attempt) -> None:
        if attempt.timeout_s < COARSE_FROM_S:
            self._exact[attempt] = asyncio.get_running_loop().call_later(attempt.timeout_s, attempt.expire)
            return
        slot = _slot_of(attempt)
        watched = self._slots.get(slot)
        if watched is None:
            watched = self._slots[slot] = set()
            self._turn_on()
        watched.add(attempt)

    def forget(self, attempt: Attempt) -> None:
        if attempt.timeout_s < COARSE_FROM_S:
            self._exact.pop(attempt).cancel()
        elif (watched := self._slots.get(_slot_of(attempt))) is not None:
            watched.discard(attempt)

    def _turn_on(self) -> None:
        if self._turning is None:
            self._next_slot = int(time.monotonic() / TICK_S)
            self._turning = asyncio.get_running_loop().call_later(TICK_S, self._turn)

    def _turn(self) -> None:
        now_slot = int(time.monotonic() / TICK_S)
        while self._next_slot <= now_slot:
            due = self._slots.pop(self._next_slot, None)
            self._next_slot += 1
            while due:  # one by one: the end of an attempt may be the end of others
                due.pop().expire()
        self._turning = None
        if self._slots:
            self._turning = asyncio.get_running_loop().call_later(TICK_S, self._turn)


def _slot_of(attempt: Attempt) -> int:
    """The first slot that begins at the deadline or later."""
    return int((attempt.started_s + attempt.timeout_s) / TICK_S) + 1
