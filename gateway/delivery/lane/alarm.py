"""Wakes a lane when its rate or its breaker allows the next attempt.

Invariant: one timer at most, for the earliest of the times that were asked for.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable


class LaneAlarm:
    """Owned by one lane."""

    def __init__(self, woken: Callable[[], None]) -> None:
        self._woken = woken
        self._timer: asyncio.Handle | None = None
        self._at = 0.0
        """When it rings, on the loop's clock: a handle of uvloop does not tell, where that was almost now."""

    def wake_in(self, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time() + max(wait_s, 0.001)
        if self._timer is not None:
            if self._at <= at:
                return
            self._timer.cancel()
        self._at = at
        self._timer = loop.call_at(at, self._rings)

    def cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()

    def _rings(self) -> None:
        self._timer = None
        self._woken()
