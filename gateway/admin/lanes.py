"""What the API shows of a webhook's lane: its breaker, what is being delivered, since when it fails.

Invariant: it is what was so at the moment of the question, and asking costs the lane nothing but the answer.
"""

from __future__ import annotations

from typing import Protocol

from gateway.admin.schemas import BreakerOut, DeliveringOut
from gateway.delivery.lane.state import LaneState


class Lanes(Protocol):
    """What is asked of the engine."""

    def state_of(self, webhook_id: str) -> LaneState | None:
        """None where there is no lane of this webhook here."""


def breaker(state: LaneState | None) -> BreakerOut | None:
    if state is None:
        return None
    return BreakerOut(
        state=state.breaker, reason=state.breaker_reason, opened_at=state.opened_at, probe_at=state.probe_at
    )


def delivering(state: LaneState | None) -> DeliveringOut | None:
    if state is None:
        return None
    return DeliveringOut(in_memory=state.in_memory, in_flight=state.in_flight, stored_behind=state.stored_behind)
