"""Time as an argument: what tells the time is handed in, so that a simulation can hand in its own."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime


@dataclass(frozen=True, slots=True)
class Clock:
    """`monotonic_s` measures durations within this process; `wall_s` is Unix time."""

    monotonic_s: Callable[[], float] = time.monotonic
    wall_s: Callable[[], float] = time.time

    def now(self) -> datetime:
        return datetime.fromtimestamp(self.wall_s(), UTC)
