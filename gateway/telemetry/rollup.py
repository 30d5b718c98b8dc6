"""What happened, counted by the minute and the webhook: the figures that pages show without reading the log.

Counting is a look-up and two additions for each attempt. Invariant: `BOUNDS_MS` is what stored histograms were counted
by, so it changes only together with the stored ones. Used from the event loop's thread alone.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence
from itertools import pairwise

import msgspec

from gateway.ids import ZERO_ID
from gateway.model import Event, Webhook

BOUNDS_MS = (1, 2, 3, 5, 8, 15, 25, 50, 100, 250, 500, 1_000, 2_500, 5_000, 10_000, 30_000, 60_000, 300_000)
"""Upper bounds of the buckets of lag and duration, inclusive; one more bucket holds what is longer."""
BUCKETS = len(BOUNDS_MS) + 1
SPANS_S = (60, 900, 3_600)
"""What is kept of: minutes for the last hour, quarters for the last day, hours for the weeks before."""

_BOUNDS_US = tuple(bound * 1_000 for bound in BOUNDS_MS)
_BOUNDS_S = tuple(bound / 1_000 for bound in BOUNDS_MS)


class Tally(msgspec.Struct, frozen=True):
    """What happened from `at_s` (Unix time) on, at one webhook; in all of a tenant where the webhook is `ZERO_ID`.

    `lag` and `took` count by `BOUNDS_MS`: from the push to the first attempt, and how long attempts took.
    """

    at_s: int
    tenant_id: int
    webhook_id: str
    accepted: int
    ok: int
    failed: int
    lag: tuple[int, ...]
    took: tuple[int, ...]


class _Cell:
    """A webhook's counts since the last `take`."""

    __slots__ = ("failed", "lag", "ok", "tenant_id", "took")

    def __init__(self, tenant_id: int) -> None:
        self.tenant_id = tenant_id
        self.ok = 0
        self.failed = 0
        self.lag = [0] * BUCKETS
        self.took = [0] * BUCKETS


class Rollup:
    """Counts until the counts are taken."""

    def __init__(self) -> None:
        self._cells: dict[str, _Cell] = {}
        self._accepted: dict[int, int] = {}

    def accepted(self, events: Iterable[Event]) -> None:
        counts = self._accepted
        for event in events:
            tenant_id = event.tenant_id
            counts[tenant_id] = counts.get(tenant_id, 0) + 1

    def started(self, webhook: Webhook, lag_s: float) -> None:
        """The first attempt of a delivery began so long after the switch's push."""
        (self._cells.get(webhook.id) or self._new_cell(webhook)).lag[bisect_left(_BOUNDS_S, lag_s)] += 1

    def attempted(self, webhook: Webhook, ok: bool, duration_us: int) -> None:
        cell = self._cells.get(webhook.id) or self._new_cell(webhook)
        if ok:
            cell.ok += 1
        else:
            cell.failed += 1
        cell.took[bisect_left(_BOUNDS_US, duration_us)] += 1

    def peek(self, at_s: int) -> list[Tally]:
        """The counts so far as those of the minute that began at `at_s`: each webhook's, and each tenant's total."""
        tallies = [
            Tally(at_s, cell.tenant_id, webhook_id, 0, cell.ok, cell.failed, tuple(cell.lag), tuple(cell.took))
            for webhook_id, cell in self._cells.items()
        ]
        none = (0,) * BUCKETS
        totals = [
            Tally(at_s, tenant_id, ZERO_ID, count, 0, 0, none, none) for tenant_id, count in self._accepted.items()
        ]
        totals += [msgspec.structs.replace(tally, webhook_id=ZERO_ID) for tally in tallies]
        return tallies + merged(totals)

    def take(self, at_s: int) -> list[Tally]:
        """The same, and begin at nothing."""
        tallies = self.peek(at_s)
        self._cells = {}
        self._accepted = {}
        return tallies

    def _new_cell(self, webhook: Webhook) -> _Cell:
        cell = self._cells[webhook.id] = _Cell(webhook.tenant_id)
        return cell


def merged(tallies: Iterable[Tally], span_s: int = SPANS_S[0]) -> list[Tally]:
    """Those of one span, tenant and webhook added up; each begins when its span does."""
    sums: dict[tuple[int, int, str], Tally] = {}
    for tally in tallies:
        at_s = tally.at_s - tally.at_s % span_s
        key = at_s, tally.tenant_id, tally.webhook_id
        known = sums.get(key)
        sums[key] = msgspec.structs.replace(tally, at_s=at_s) if known is None else _added(known, tally)
    return list(sums.values())


def _added(one: Tally, other: Tally) -> Tally:
    return msgspec.structs.replace(
        one,
        accepted=one.accepted + other.accepted,
        ok=one.ok + other.ok,
        failed=one.failed + other.failed,
        lag=added(one.lag, other.lag),
        took=added(one.took, other.took),
    )


def added(one: Sequence[int], other: Sequence[int]) -> tuple[int, ...]:
    """Two histograms as one."""
    return tuple(a + b for a, b in zip(one, other, strict=True))


def quantile_ms(histogram: Sequence[int], share: float) -> float | None:
    """What `share` of the observations lie below, as if each bucket's were evenly spread; None where there are none.

    Of the last bucket only its lower bound is known.
    """
    rank = share * sum(histogram)
    if rank == 0:
        return None
    for (low, high), count in zip(pairwise((0, *BOUNDS_MS)), histogram, strict=False):
        if rank <= count:
            return low + (high - low) * rank / count
        rank -= count
    return float(BOUNDS_MS[-1])
