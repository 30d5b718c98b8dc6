"""The circuit breaker of one webhook: stops attempts at a target that is down, probes until it is back.

Pure: time and what happened come in as arguments. Invariant: while it is open at most one attempt,
the probe, is under way.
"""

from __future__ import annotations

import enum

from gateway.model import Outcome

FAILURES_IN_A_ROW = 10
WINDOW = 50
FAILURE_SHARE = 0.8
FIRST_COOLDOWN_S = 1.0
COOLDOWN_MAX_S = 60.0


class BreakerState(enum.StrEnum):
    CLOSED = "closed"
    OPEN = "open"
    PROBING = "probing"


class Breaker:
    """Opens on failures in a row or on their share of the last `WINDOW`; each failed probe doubles the wait."""

    __slots__ = ("_cooldown_s", "_failed", "_in_a_row", "_seen", "opened_at", "probe_at", "reason", "state")

    def __init__(self) -> None:
        self.state = BreakerState.CLOSED
        self.reason: str | None = None
        self.opened_at: float | None = None
        self.probe_at = 0.0
        self._cooldown_s = FIRST_COOLDOWN_S
        self._in_a_row = 0
        self._seen = 0
        self._failed = 0

    def room(self, now_s: float, in_flight: int) -> bool:
        """May another attempt start? While not closed: only as the single probe, once it is due."""
        if self.state is BreakerState.CLOSED:
            return True
        return in_flight == 0 and now_s >= self.probe_at

    def starts(self) -> None:
        """An attempt starts (after `room` said so)."""
        if self.state is BreakerState.OPEN:
            self.state = BreakerState.PROBING

    def succeeded(self) -> None:
        if self.state is not BreakerState.CLOSED:
            self._close()
        self._in_a_row = 0
        self._count(failed=False)

    def failed(self, reason: str, now_s: float) -> None:
        self._in_a_row += 1
        self._count(failed=True)
        if self.state is BreakerState.PROBING:
            self._cooldown_s = min(self._cooldown_s * 2, COOLDOWN_MAX_S)
            self._open(reason, now_s)
        elif self.state is BreakerState.CLOSED and self._too_many():
            self._cooldown_s = FIRST_COOLDOWN_S
            self.opened_at = now_s
            self._open(reason, now_s)

    def abandoned(self) -> None:
        """The gateway gave up: it says nothing of the target, and a probe is due as before."""
        if self.state is BreakerState.PROBING:
            self.state = BreakerState.OPEN

    def _too_many(self) -> bool:
        return self._in_a_row >= FAILURES_IN_A_ROW or (
            self._seen >= WINDOW and self._failed >= FAILURE_SHARE * self._seen
        )

    def _count(self, *, failed: bool) -> None:
        if self._seen >= WINDOW:  # forget the older half: cheaper than a ring, and as good a judge
            self._seen //= 2
            self._failed //= 2
        self._seen += 1
        self._failed += failed

    def _open(self, reason: str, now_s: float) -> None:
        self.state = BreakerState.OPEN
        self.reason = reason
        self.probe_at = now_s + self._cooldown_s

    def _close(self) -> None:
        self.state = BreakerState.CLOSED
        self.reason = None
        self.opened_at = None
        self._seen = self._failed = 0


def target_is_down(outcome: Outcome) -> bool:
    """Does this failure speak of the target rather than of one event? A 400 or 422 does not."""
    if outcome.response is None:
        return True
    return outcome.response.status >= 500 or outcome.response.status == 429
