"""How each webhook did over the last 24 hours: what got there, what failed, and how long attempts took.

Invariant: it is made of counts that are kept by the hour; no attempt is looked at.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from gateway.store.minutes import Latest
from gateway.telemetry.rollup import BUCKETS, Tally, added, quantile_ms

HOURS = 24
HOUR_S = 3_600


@dataclass(frozen=True, slots=True)
class Hour:
    """`took` counts attempts, failed ones too, by `rollup.BOUNDS_MS`."""

    ok: int = 0
    failed: int = 0
    took: tuple[int, ...] = (0,) * BUCKETS

    def plus(self, tally: Tally) -> Hour:
        return Hour(self.ok + tally.ok, self.failed + tally.failed, added(self.took, tally.took))


@dataclass(frozen=True, slots=True)
class WebhookFigures:
    """`hours` are oldest first, the last of them going on. `latest` is the newest attempt, however old."""

    hours: tuple[Hour, ...]
    latest: Latest | None

    @property
    def ok(self) -> int:
        return sum(hour.ok for hour in self.hours)

    @property
    def failed(self) -> int:
        return sum(hour.failed for hour in self.hours)

    @property
    def success(self) -> float | None:
        made = self.ok + self.failed
        return self.ok / made if made else None

    @property
    def p50_ms(self) -> float | None:
        return self._took_ms(0.5)

    @property
    def p95_ms(self) -> float | None:
        return self._took_ms(0.95)

    def hourly_ms(self, share: float) -> list[float | None]:
        """What `share` of each hour's attempts took at most."""
        return [quantile_ms(hour.took, share) for hour in self.hours]

    def _took_ms(self, share: float) -> float | None:
        return quantile_ms([sum(counts) for counts in zip(*(hour.took for hour in self.hours), strict=True)], share)


def first_hour_s(now_s: int) -> int:
    """When the first of the hours began that are shown now."""
    return now_s - now_s % HOUR_S - (HOURS - 1) * HOUR_S


def by_webhook(
    webhook_ids: Sequence[str], tallies: Iterable[Tally], first_s: int, latest: Mapping[str, Latest]
) -> dict[str, WebhookFigures]:
    """The tallies put into the hours from `first_s` on; those of other webhooks and times are left out."""
    hours = {webhook_id: [Hour()] * HOURS for webhook_id in webhook_ids}
    for tally in tallies:
        place = (tally.at_s - first_s) // HOUR_S
        if tally.webhook_id in hours and 0 <= place < HOURS:
            hours[tally.webhook_id][place] = hours[tally.webhook_id][place].plus(tally)
    return {each: WebhookFigures(tuple(its), latest.get(each)) for each, its in hours.items()}
