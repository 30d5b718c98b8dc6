"""The demo's two books, side by side: what the switch was told is accepted, and what the targets got.

One event loop owns it, and nothing here waits. The two sides learn of an event in either order: a
delivery may arrive before the 202 has been read.
"""

from __future__ import annotations

import math
from collections import OrderedDict, deque
from collections.abc import Sequence
from dataclasses import dataclass, field

RECENT_LAGS = 2_000
"""Percentiles are of the latest so many events."""
REMEMBERED_EVENTS = 50_000
"""Of so many events the ledger knows which deliveries are still to come."""


@dataclass(slots=True)
class _Flight:
    """One event on its way. Times are of `time.monotonic`, None until known."""

    pushed_at: float | None = None
    arrived_at: float | None = None
    owed: set[str] = field(default_factory=set)
    delivered: set[str] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Figures:
    """The ledger at one moment. Lag is from the push to the first request at a target; None before the first."""

    accepted: int
    pushed_again: int
    refused: int
    delivered: int
    turned_away: int
    retried: int
    doubled: int
    forged: int
    owed: int
    lag_p50_ms: float | None
    lag_p99_ms: float | None


class Ledger:
    """Counts what happens and matches the two books by the event's id."""

    def __init__(self) -> None:
        self._flights: OrderedDict[str, _Flight] = OrderedDict()
        self._lags_ms: deque[float] = deque(maxlen=RECENT_LAGS)
        self._accepted = self._refused = self._delivered = self._turned_away = 0
        self._retried = self._doubled = self._forged = self._owed = self._pushed_again = 0

    def accept(self, event_id: str, *, pushed_at: float, webhooks: frozenset[str]) -> None:
        """The gateway answered 202 to a push that began at `pushed_at`: it owes the event to these webhooks."""
        self._accepted += 1
        flight = self._flight(event_id)
        flight.owed = set(webhooks) - flight.delivered
        self._owed += len(flight.owed)
        flight.pushed_at = pushed_at
        self._measure(flight)

    def push_again(self) -> None:
        """The gateway could not take a push yet, or did not answer: it is repeated."""
        self._pushed_again += 1

    def refuse(self) -> None:
        """The gateway took an event not, and the switch has given it up."""
        self._refused += 1

    def deliver(self, event_id: str, *, webhook: str, attempt: int, at: float) -> None:
        """A target took a delivery."""
        flight = self._flight(event_id)
        if webhook in flight.delivered:
            self._doubled += 1
            return
        flight.delivered.add(webhook)
        self._delivered += 1
        self._retried += attempt > 1
        self._owed -= webhook in flight.owed
        flight.owed.discard(webhook)
        self._arrive(flight, at)

    def turn_away(self, event_id: str, *, at: float) -> None:
        """A target answered a good delivery with an error, on purpose: it will come again."""
        self._turned_away += 1
        self._arrive(self._flight(event_id), at)

    def forge(self) -> None:
        """A target got something whose signature or credential is wrong."""
        self._forged += 1

    def figures(self) -> Figures:
        lags_ms = sorted(self._lags_ms)
        return Figures(
            accepted=self._accepted,
            pushed_again=self._pushed_again,
            refused=self._refused,
            delivered=self._delivered,
            turned_away=self._turned_away,
            retried=self._retried,
            doubled=self._doubled,
            forged=self._forged,
            owed=self._owed,
            lag_p50_ms=percentile(lags_ms, 0.50),
            lag_p99_ms=percentile(lags_ms, 0.99),
        )

    def _flight(self, event_id: str) -> _Flight:
        flight = self._flights.get(event_id)
        if flight is None:
            flight = self._flights[event_id] = _Flight()
            if len(self._flights) > REMEMBERED_EVENTS:
                self._flights.popitem(last=False)
        return flight

    def _arrive(self, flight: _Flight, at: float) -> None:
        if flight.arrived_at is None:
            flight.arrived_at = at
            self._measure(flight)

    def _measure(self, flight: _Flight) -> None:
        """Whichever side completes the pair notes the lag."""
        if flight.pushed_at is not None and flight.arrived_at is not None:
            self._lags_ms.append((flight.arrived_at - flight.pushed_at) * 1000)


def percentile(ordered: Sequence[float], share: float) -> float | None:
    """The nearest-rank percentile of ascending values; None where there are none."""
    return ordered[max(0, math.ceil(share * len(ordered)) - 1)] if ordered else None
