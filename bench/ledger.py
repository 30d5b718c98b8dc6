"""What a target remembers of what arrived: which events, how often, how late, and in which order.

Invariant: only what a target answered with 2xx counts as delivered; order is judged between the first delivery of a
step and the arrival, in whatever way it was answered, of a later one.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Sequence
from typing import Any

MAX_SAMPLES = 4_000_000
"""Lags that are kept, eight bytes each; later ones are counted but not kept."""
PERCENTILES = (("p50", 0.5), ("p99", 0.99), ("p999", 0.999), ("max", 1.0))


class Ledger:
    """The arrivals at one path of the target, which stands for one webhook."""

    __slots__ = ("_newest_step", "arrivals", "delivered", "duplicates", "first_ns", "lags_ns", "last_ns", "overtaken")

    def __init__(self) -> None:
        self.arrivals = 0
        self.delivered: set[bytes] = set()
        self.duplicates = 0
        self.overtaken = 0
        self.lags_ns = array("q")
        self.first_ns = 0
        self.last_ns = 0
        self._newest_step: dict[int, int] = {}

    def arrived(self, call_id: int | None, rank: int, now_ns: int) -> None:
        """A request came in, before it is known how it will be answered."""
        self.arrivals += 1
        if not self.first_ns:
            self.first_ns = now_ns
        self.last_ns = now_ns
        if call_id is not None and self._newest_step.get(call_id, -1) < rank:
            self._newest_step[call_id] = rank

    def taken(self, event_id: bytes) -> None:
        """The request will be answered 2xx: from here on the event has had its effect, whoever hears of it."""

    def settled(self, event_id: bytes, call_id: int | None, rank: int, lag_ns: int) -> None:
        """The request is answered 2xx. `lag_ns` is from the sending of the event to its arrival here."""
        if event_id in self.delivered:
            self.duplicates += 1
            return
        self.delivered.add(event_id)
        if len(self.lags_ns) < MAX_SAMPLES:
            self.lags_ns.append(lag_ns)
        if call_id is not None and self._newest_step.get(call_id, -1) > rank:
            self.overtaken += 1

    def summary(self) -> dict[str, Any]:
        return summary([self])


def summary(ledgers: Sequence[Ledger]) -> dict[str, Any]:
    """Several ledgers as one, in JSON's types."""
    lags_ns = array("q")
    for ledger in ledgers:
        lags_ns.extend(ledger.lags_ns)
    return {
        "arrivals": sum(ledger.arrivals for ledger in ledgers),
        "delivered": sum(len(ledger.delivered) for ledger in ledgers),
        "duplicates": sum(ledger.duplicates for ledger in ledgers),
        "overtaken": sum(ledger.overtaken for ledger in ledgers),
        "first_ns": min((ledger.first_ns for ledger in ledgers if ledger.first_ns), default=0),
        "last_ns": max((ledger.last_ns for ledger in ledgers), default=0),
        "lag_ms": percentiles_ms(lags_ns),
    }


def percentiles_ms(samples_ns: Sequence[int]) -> dict[str, float]:
    """p50, p99, p99.9 and the greatest, in milliseconds, exact (nearest rank); empty if there are no samples."""
    if not samples_ns:
        return {}
    ordered = sorted(samples_ns)
    return {name: ordered[max(0, math.ceil(len(ordered) * share) - 1)] / 1e6 for name, share in PERCENTILES}
