"""What a lane has learned of its target: whether to leave it in peace, and since when it has failed.

Invariant: only answers of the target in force count; one that the webhook has left says nothing of the new one.
"""

from __future__ import annotations

import structlog

from gateway.clock import Clock
from gateway.delivery.breaker import Breaker, BreakerState, target_is_down
from gateway.delivery.streak import Streak
from gateway.delivery.verdict import reason
from gateway.model import ErrorKind, Outcome

log = structlog.get_logger(__name__)


class LaneTarget:
    """Owned by one lane, which says how each attempt ended."""

    def __init__(self, webhook_id: str, clock: Clock) -> None:
        self.breaker = Breaker()
        self.streak: Streak | None = None
        """Since when every attempt has failed; None while the last one succeeded."""
        self._webhook_id = webhook_id
        self._clock = clock

    def forget(self) -> None:
        """It is another one now."""
        self.breaker = Breaker()
        self.streak = None

    def succeeded(self) -> None:
        self.breaker.succeeded()
        self.streak = None

    def failed(self, outcome: Outcome, *, counts: bool) -> None:
        """`counts` says that it may make the streak longer: an attempt that outlived its webhook's pause does not."""
        if outcome.error is ErrorKind.ABANDONED:
            self.breaker.abandoned()
            return
        if counts:
            now = self._clock.now()
            if self.streak is None:
                self.streak = Streak(now)
            self.streak.fails(reason(outcome), now)
        if not target_is_down(outcome):
            self.breaker.succeeded()
            return
        self.breaker.failed(reason(outcome), self._clock.monotonic_s())
        if self.breaker.state is BreakerState.OPEN:
            log.info("breaker_open", webhook_id=self._webhook_id, reason=self.breaker.reason)
