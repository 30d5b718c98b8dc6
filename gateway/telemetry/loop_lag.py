"""Owns the one measurement that tells an overloaded process from a slow target: how late timers fire.

Invariant: it wakes a few times a second and holds nothing, so it cannot cause what it measures.
"""

from __future__ import annotations

import asyncio

from gateway.telemetry.accumulators import Histogram

INTERVAL_S = 0.25


class LoopLag:
    """Sleeps again and again and observes by how much each sleep was too long."""

    def __init__(self, histogram: Histogram, *, interval_s: float = INTERVAL_S) -> None:
        self._histogram = histogram
        self._interval_s = interval_s

    async def run(self) -> None:
        """Until cancelled."""
        now = asyncio.get_running_loop().time
        while True:
            due_s = now() + self._interval_s
            await asyncio.sleep(self._interval_s)
            self._histogram.observe(max(0.0, now() - due_s))
