"""How one process treats one target: its rate, its concurrency, its patience after failures.

What it sees is compared with the pure rules (`rate`, `retry`, `breaker`) written down a second time, in their simplest
form. Invariant: only what the process itself has seen counts; what died with another is not held against it.
"""

from __future__ import annotations

from collections import Counter

from gateway.delivery.breaker import FAILURES_IN_A_ROW, FIRST_COOLDOWN_S, target_is_down
from gateway.delivery.retry import parse_retry_after
from gateway.model import ErrorKind, Outcome, Webhook

SLACK_S = 0.002


class Manners:
    """Told of each request and each outcome, in their order; `sends` answers what was wrong with a request."""

    def __init__(self, webhook: Webhook) -> None:
        self._webhook = webhook
        self._tokens = 0.0
        self._tokens_at = 0.0
        self._not_before: dict[str, float] = {}
        self._failures: Counter[str] = Counter()
        self._replayed: set[str] = set()
        self._down_in_a_row = 0
        self._rests_until = 0.0
        self._probe: str | None = None
        self._in_flight = 0
        self._again: set[str] = set()
        """In flight, and seen to fail before."""
        self.is_well = False
        """The last answer was a success."""

    def sends(self, event_id: str, now: float) -> str | None:
        self._in_flight += 1
        if self._in_flight > self._webhook.max_in_flight:
            return f"{self._in_flight} requests at once, {self._webhook.max_in_flight} are allowed"
        if event_id in self._failures and event_id not in self._replayed:
            self._again.add(event_id)
            if len(self._again) > max(1, self._webhook.max_in_flight // 2):
                return f"{len(self._again)} retries at once leave nothing to fresh events"
        if (rate := self._webhook.rate_per_s) is not None and not self._takes_token(rate, now):
            return f"more than {rate} requests a second"
        if now < self._not_before.get(event_id, 0.0) - SLACK_S:
            return f"{event_id} is tried again {self._not_before[event_id] - now:.3f} s too early"
        if self._down_in_a_row >= FAILURES_IN_A_ROW:
            if self._in_flight > 1 or now < self._rests_until - SLACK_S:
                return f"{event_id} is sent while the target has its rest"
            self._probe = event_id
        return None

    def sees(self, event_id: str, outcome: Outcome, now: float) -> None:
        self._in_flight -= 1
        self._again.discard(event_id)
        self.is_well = outcome.ok
        if outcome.error is ErrorKind.ABANDONED:
            self._down_in_a_row = 0  # the process stops
        elif outcome.ok:
            self._down_in_a_row = 0
        else:
            self._failed(event_id, outcome, now)

    def _failed(self, event_id: str, outcome: Outcome, now: float) -> None:
        schedule_s = self._webhook.retry_schedule_s or ()
        self._failures[event_id] += 1
        wait_s = schedule_s[min(self._failures[event_id], len(schedule_s)) - 1]
        asked = dict(outcome.response.headers).get("retry-after") if outcome.response is not None else None
        if asked is not None:
            wait_s = max(wait_s, parse_retry_after(asked, now) or 0.0)
        if event_id not in self._replayed:
            self._not_before[event_id] = now + wait_s
        if target_is_down(outcome):
            self._down_in_a_row += 1
            if self._down_in_a_row == FAILURES_IN_A_ROW or self._probe == event_id:
                self._rests_until = now + FIRST_COOLDOWN_S  # what else was under way does not lengthen it
        else:
            self._down_in_a_row = 0

    def replayed(self, event_id: str) -> None:
        """It is due at once, and perhaps twice, whatever its schedule says."""
        self._replayed.add(event_id)
        self._not_before.pop(event_id, None)

    def _takes_token(self, rate: float, now: float) -> bool:
        burst = max(1.0, rate)
        self._tokens = min(burst, self._tokens + (now - self._tokens_at) * rate) if self._tokens_at else burst
        self._tokens_at = now
        self._tokens -= 1.0
        return self._tokens > -SLACK_S * rate
