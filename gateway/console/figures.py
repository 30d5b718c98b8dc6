"""The figures behind the overview and the list of webhooks: what is stored by the minute, what has been counted since,
and what the lanes say now.

Invariant: however many people look, the store is asked for the same figures at most once in `FRESH_S`.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from gateway.console.webhook_figures import HOUR_S, WebhookFigures, by_webhook, first_hour_s
from gateway.ids import ZERO_ID, id_time
from gateway.model import DeliveryState, Webhook
from gateway.registry.registry import Registry
from gateway.store.maintenance import Unsettled
from gateway.store.minutes import MinuteStore, Sums
from gateway.telemetry.metrics import LaneSample
from gateway.telemetry.rollup import BUCKETS, Tally, added, quantile_ms

FRESH_S = 4.0
WORST_LIMIT = 5
SHORTEST_S = 10
"""A span that has just begun counts as this long: a rate over less would jump."""


@dataclass(frozen=True, slots=True)
class Period:
    """What is shown at once: so many spans of `span_s`, the last of which is going on."""

    name: str
    title: str
    span_s: int
    spans: int


PERIODS: Mapping[str, Period] = {
    period.name: period
    for period in (
        Period("1h", "Last hour", 60, 60),
        Period("24h", "Last 24 hours", 900, 96),
        Period("7d", "Last 7 days", 3_600, 168),
    )
}


@dataclass(frozen=True, slots=True)
class Point:
    """One span. Rates are per minute; `success` is a share; what nothing happened for is None."""

    at: datetime
    events: float
    delivered: float
    failed: float
    success: float | None
    p50_ms: float | None
    p99_ms: float | None


@dataclass(frozen=True, slots=True)
class Rank:
    """How a webhook did over the period."""

    webhook: Webhook
    sums: Sums

    @property
    def success(self) -> float:
        return self.sums.ok / (self.sums.ok + self.sums.failed)


@dataclass(frozen=True, slots=True, kw_only=True)
class Overview:
    """`waiting` are deliveries that are owed, in the store or in memory; `oldest_s` is the age of the oldest."""

    period: Period
    points: tuple[Point, ...]
    events: int
    delivered: int
    failed: int
    success: float | None
    p50_ms: float | None
    p99_ms: float | None
    worst: tuple[Rank, ...]
    resting: tuple[Webhook, ...]
    waiting: int
    oldest_s: float
    given_up: int
    at: datetime


class Figures:
    """`unstored` are the counts that the store lacks; `lanes` and `unsettled` answer from memory."""

    def __init__(
        self,
        store: MinuteStore,
        registry: Registry,
        *,
        unstored: Callable[[], Sequence[Tally]],
        lanes: Callable[[], Iterable[LaneSample]],
        unsettled: Callable[[], Sequence[Unsettled]],
    ) -> None:
        self._store = store
        self._registry = registry
        self._unstored = unstored
        self._lanes = lanes
        self._unsettled = unsettled
        self._lock = asyncio.Lock()
        self._known: dict[tuple[str, int | None], tuple[float, Overview]] = {}

    async def overview(self, period: Period, tenant_id: int | None) -> Overview:
        """Of one tenant, or of all of them."""
        key = period.name, tenant_id
        async with self._lock:
            made_at, known = self._known.get(key, (float("-inf"), None))
            if known is None or time.monotonic() - made_at > FRESH_S:
                known = await self._overview(period, tenant_id)
                self._known = {
                    each: entry for each, entry in self._known.items() if time.monotonic() - entry[0] <= FRESH_S
                }
                self._known[key] = time.monotonic(), known
            return known

    async def webhooks(self, webhook_ids: Sequence[str]) -> dict[str, WebhookFigures]:
        """Of each of these webhooks, which should be no more than a page of a list shows."""
        first_s = first_hour_s(int(time.time()))
        stored = await self._store.history(HOUR_S, datetime.fromtimestamp(first_s, UTC), webhook_ids)
        latest = await self._store.latest(webhook_ids)
        return by_webhook(webhook_ids, [*stored, *self._unstored()], first_s, latest)

    async def _overview(self, period: Period, tenant_id: int | None) -> Overview:
        now_s = time.time()
        first_s = int(now_s) - int(now_s) % period.span_s - (period.spans - 1) * period.span_s
        since = datetime.fromtimestamp(first_s, UTC)
        tenant_ids = [tenant.id for tenant in self._registry.tenants(tenant_id)]
        webhooks = {webhook.id: webhook for webhook in self._registry.webhooks(tenant_id)}
        stored = await self._store.totals(period.span_s, since, tenant_ids)
        sums = await self._store.sums(period.span_s, since, list(webhooks))
        unstored = [tally for tally in self._unstored() if tally.at_s >= first_s and tally.tenant_id in tenant_ids]
        spans = spread([*stored, *(t for t in unstored if t.webhook_id == ZERO_ID)], period, first_s)
        whole = sum_of(spans)
        lanes = [lane for lane in self._lanes() if lane.webhook_id in webhooks]
        backlog = [each for each in self._unsettled() if each.webhook_id in webhooks]
        owed = [each for each in backlog if each.state != DeliveryState.FAILED]
        ages = [(datetime.now(UTC) - id_time(each.oldest_id)).total_seconds() for each in owed]
        return Overview(
            period=period,
            points=tuple(point(each, period.span_s, now_s) for each in spans),
            events=whole.accepted,
            delivered=whole.ok,
            failed=whole.failed,
            success=_share(whole),
            p50_ms=quantile_ms(whole.lag, 0.5),
            p99_ms=quantile_ms(whole.lag, 0.99),
            worst=worst(webhooks, sums, unstored),
            resting=tuple(webhooks[lane.webhook_id] for lane in lanes if lane.breaker_open),
            waiting=waiting(owed, lanes),
            oldest_s=max([0.0, *ages, *(lane.oldest_age_s for lane in lanes)]),
            given_up=sum(each.deliveries for each in backlog) - sum(each.deliveries for each in owed),
            at=datetime.now(UTC),
        )


def spread(totals: Iterable[Tally], period: Period, first_s: int) -> list[Tally]:
    """Every span of the period, from `first_s` on, with what happened in it; over all tenants."""
    none = (0,) * BUCKETS
    spans = [Tally(first_s + n * period.span_s, 0, ZERO_ID, 0, 0, 0, none, none) for n in range(period.spans)]
    for tally in totals:
        place = (tally.at_s - first_s) // period.span_s
        if 0 <= place < period.spans:
            spans[place] = _plus(spans[place], tally)
    return spans


def sum_of(tallies: Sequence[Tally]) -> Tally:
    """All of them as one; there is at least one."""
    whole = tallies[0]
    for tally in tallies[1:]:
        whole = _plus(whole, tally)
    return whole


def point(tally: Tally, span_s: int, now_s: float) -> Point:
    minutes = min(span_s, max(SHORTEST_S, now_s - tally.at_s)) / 60
    return Point(
        at=datetime.fromtimestamp(tally.at_s, UTC),
        events=tally.accepted / minutes,
        delivered=tally.ok / minutes,
        failed=tally.failed / minutes,
        success=_share(tally),
        p50_ms=quantile_ms(tally.lag, 0.5),
        p99_ms=quantile_ms(tally.lag, 0.99),
    )


def waiting(stored: Iterable[Unsettled], lanes: Iterable[LaneSample]) -> int:
    """How many deliveries are owed. What is in memory may be stored too, so of each webhook the greater counts."""
    counts: dict[str, int] = {}
    for each in stored:
        counts[each.webhook_id] = counts.get(each.webhook_id, 0) + each.deliveries
    for lane in lanes:
        counts[lane.webhook_id] = max(counts.get(lane.webhook_id, 0), lane.depth)
    return sum(counts.values())


def worst(webhooks: Mapping[str, Webhook], stored: Mapping[str, Sums], unstored: Iterable[Tally]) -> tuple[Rank, ...]:
    """The webhooks whose attempts failed, the least successful first."""
    sums = dict(stored)
    for tally in unstored:
        known = sums.get(tally.webhook_id, Sums(0, 0))
        sums[tally.webhook_id] = Sums(known.ok + tally.ok, known.failed + tally.failed)
    ranks = [Rank(webhooks[each], of) for each, of in sums.items() if each in webhooks and of.failed]
    ranks.sort(key=lambda rank: (rank.success, -rank.sums.failed, rank.webhook.id))
    return tuple(ranks[:WORST_LIMIT])


def _plus(one: Tally, other: Tally) -> Tally:
    lag, took = added(one.lag, other.lag), added(one.took, other.took)
    counts = one.accepted + other.accepted, one.ok + other.ok, one.failed + other.failed
    return Tally(one.at_s, one.tenant_id, one.webhook_id, *counts, lag, took)


def _share(tally: Tally) -> float | None:
    made = tally.ok + tally.failed
    return tally.ok / made if made else None
