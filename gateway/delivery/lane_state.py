"""How a lane is doing, as it is shown: its breaker, what it holds, and since when its target has failed.

Invariant: a picture of one moment; nothing in it changes, and nobody who has it can reach the lane.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.delivery.breaker import BreakerState


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
