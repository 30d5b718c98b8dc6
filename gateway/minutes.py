"""The loop that stores, minute by minute, what happened.

Invariant: what was counted is in the store, or waits here to be stored, never both; only a process that is killed
takes the counts of its last minute along. The log itself has every attempt in any case.
"""

from __future__ import annotations

import asyncio
from datetime import timedelta

import structlog

from gateway.clock import Clock
from gateway.errors import Problem, Unavailable
from gateway.store.minutes import MinuteStore
from gateway.telemetry.rollup import Rollup, Tally, merged

MINUTE_S = 60
TRIM_EVERY_S = 3_600.0
WAITING_LIMIT = 20_000
"""The most tallies kept while the database is away; beyond it the oldest go."""
LAST_DEADLINE_S = 1.0

log = structlog.get_logger(__name__)


class Minutes:
    """Takes what `rollup` has counted when a minute ends."""

    def __init__(self, rollup: Rollup, store: MinuteStore, *, clock: Clock, retention: timedelta) -> None:
        self._rollup = rollup
        self._store = store
        self._clock = clock
        self._retention = retention
        self._waiting: list[Tally] = []

    def unstored(self) -> list[Tally]:
        """What happened that reading the store does not show yet."""
        return [*self._waiting, *self._rollup.peek(_minute(self._clock.wall_s()))]

    async def run(self) -> None:
        """Until cancelled; what is left is stored then."""
        trimmed_at = float("-inf")
        try:
            while True:
                wall_s = self._clock.wall_s()
                await asyncio.sleep(_minute(wall_s) + MINUTE_S - wall_s)
                await self.store(_minute(wall_s))
                if self._clock.monotonic_s() - trimmed_at >= TRIM_EVERY_S:
                    trimmed_at = self._clock.monotonic_s()
                    await self._trim()
        finally:
            try:
                async with asyncio.timeout(LAST_DEADLINE_S):
                    await self.store(_minute(self._clock.wall_s()))
            except TimeoutError:
                log.warning("minutes_lost", tallies=len(self._waiting))

    async def store(self, at_s: int) -> None:
        """Store what was counted as the minute that began at `at_s`, and what has waited; or keep it waiting."""
        self._waiting = merged([*self._waiting, *self._rollup.take(at_s)])[-WAITING_LIMIT:]
        if not self._waiting:
            return
        try:
            await self._store.add(self._waiting)
        except (Unavailable, Problem) as error:
            log.warning("minutes_wait", error=str(error), tallies=len(self._waiting))
        else:
            self._waiting = []

    async def _trim(self) -> None:
        try:
            await self._store.trim(self._clock.now(), self._retention)
        except (Unavailable, Problem) as error:
            log.warning("minutes_not_trimmed", error=str(error))


def _minute(wall_s: float) -> int:
    return int(wall_s) // MINUTE_S * MINUTE_S
