"""How a lane is doing, as it is shown: its breaker, what it holds, and since when its target has failed.

Invariant: a picture of one moment; nothing in it changes, and nobody who has it can reach the lane.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from gateway.clock import Clock
from gateway.delivery.breaker import BreakerState
from gateway.delivery.lane.target import LaneTarget


@dataclass(frozen=True, slots=True)
class LaneState:
    """`in_memory` are waiting, `in_flight` under way; `stored_behind` says that more waits in the store.

    `failing_since` is when the first attempt failed that no success has followed.
    """

    breaker: BreakerState
    breaker_reason: str | None
    opened_at: datetime | None
    probe_at: datetime | None
    in_memory: int
    in_flight: int
    stored_behind: bool
    failing_since: datetime | None

    @classmethod
    def of(cls, target: LaneTarget, clock: Clock, *, in_memory: int, in_flight: int, stored_behind: bool) -> Self:
        """The times of the breaker, which knows only the monotonic clock, are told by the wall's."""
        breaker, streak = target.breaker, target.streak
        ahead_s = clock.wall_s() - clock.monotonic_s()
        is_closed = breaker.state is BreakerState.CLOSED
        return cls(
            breaker=breaker.state,
            breaker_reason=breaker.reason,
            opened_at=None if breaker.opened_at is None else datetime.fromtimestamp(breaker.opened_at + ahead_s, UTC),
            probe_at=None if is_closed else datetime.fromtimestamp(breaker.probe_at + ahead_s, UTC),
            in_memory=in_memory,
            in_flight=in_flight,
            stored_behind=stored_behind,
            failing_since=None if streak is None else streak.since,
        )
