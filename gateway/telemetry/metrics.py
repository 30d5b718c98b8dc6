"""Owns every metric: `Metrics` is made once, handed to whatever counts, and rendered when scraped.

Invariant: the number of series is bounded by the event types, the error kinds and the webhooks, never
by what the switch or a target sends. `docs/metrics.md` says what each one means and when to worry.
"""

from __future__ import annotations

import platform
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

from prometheus_client import CollectorRegistry, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.registry import Collector

from gateway.catalog import BY_NAME
from gateway.model import DeliveryState, ErrorKind, Event, Outcome, Webhook
from gateway.telemetry.accumulators import Count, Histogram, LabelledCount
from gateway.telemetry.rollup import Rollup

CONTENT_TYPE = CONTENT_TYPE_PLAIN_0_0_4

_MS = 0.001
LAG_BOUNDS_S = (
    *(n * _MS for n in (0.5, 1, 1.5, 2, 3, 5, 8, 15, 25, 50, 100, 250, 500)),
    *(1.0, 2.5, 5.0, 10.0, 30.0, 60.0),
)
COMMIT_BOUNDS_S = tuple(n * _MS for n in (0.5, 1, 2, 3, 5, 8, 15, 25, 50, 100, 250, 500, 1000, 2500, 5000))
ATTEMPT_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
BATCH_BOUNDS = (1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 100.0, 200.0, 500.0, 1000.0, 2000.0)
LOOP_LAG_BOUNDS_S = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 5.0)

UNSETTLED = (DeliveryState.QUEUED, DeliveryState.RETRYING, DeliveryState.FAILED)
SUCCESS, FAILURE = "success", "failure"
REFUSALS = (
    *("bad-json", "validation", "idempotency-key-reused", "too-large", "timeout"),
    *("unauthorized", "forbidden", "over-quota", "unavailable"),
)
"""Why pushes are usually refused: the types of their problems."""


@dataclass(frozen=True, slots=True)
class LaneSample:
    """One webhook's lane at the moment of a scrape; `oldest_age_s` is 0 where nothing waits."""

    webhook_id: str
    depth: int
    oldest_age_s: float
    in_flight: int
    breaker_open: bool


class Metrics(Collector):
    """All counters, and where the gauges are asked for. Used from the event loop's thread alone."""

    def __init__(self, *, version: str) -> None:
        self._version = version
        self.rollup = Rollup()
        self._lanes: Callable[[], Iterable[LaneSample]] = tuple
        self._unsettled: Callable[[], Mapping[str, int]] = dict

        self.events_accepted = LabelledCount(
            "gateway_events_accepted", "Events answered 202 and stored, by type.", label="type", known=BY_NAME
        )
        self.events_duplicate = Count(
            "gateway_events_duplicate", "Pushes answered 202 because their key had been accepted before."
        )
        self.events_rejected = LabelledCount(
            "gateway_events_rejected", "Pushes refused, by reason.", label="reason", known=REFUSALS
        )
        self.intake_commit_seconds = Histogram(
            "gateway_intake_commit_seconds", "How long the commit of a batch of events took.", bounds=COMMIT_BOUNDS_S
        )
        self.intake_batch_events = Histogram(
            "gateway_intake_batch_events", "Events committed together.", bounds=BATCH_BOUNDS
        )
        self.deliveries = LabelledCount(
            "gateway_deliveries",
            "Deliveries that ended: success, or failure after the whole retry schedule.",
            label="outcome",
            known=(SUCCESS, FAILURE),
        )
        self.attempts = LabelledCount(
            "gateway_attempts",
            "Attempts, by how they ended: success, an HTTP status class, or the kind of error.",
            label="outcome",
            known=(SUCCESS, "http_3xx", "http_4xx", "http_5xx", *(kind.value for kind in ErrorKind)),
        )
        self.attempt_seconds = Histogram(
            "gateway_attempt_seconds", "How long an attempt took, from look-up to answer.", bounds=ATTEMPT_BOUNDS_S
        )
        self.delivery_lag_seconds = Histogram(
            "gateway_delivery_lag_seconds",
            "From the switch's push to the start of the first attempt, per delivery.",
            bounds=LAG_BOUNDS_S,
        )
        self.recorder_commit_seconds = Histogram(
            "gateway_recorder_commit_seconds",
            "How long the commit of a batch of attempts took.",
            bounds=COMMIT_BOUNDS_S,
        )
        self.recorder_batch_attempts = Histogram(
            "gateway_recorder_batch_attempts", "Attempts committed together.", bounds=BATCH_BOUNDS
        )
        self.event_loop_lag_seconds = Histogram(
            "gateway_event_loop_lag_seconds", "How late the event loop woke a timer up.", bounds=LOOP_LAG_BOUNDS_S
        )

        self._registry = CollectorRegistry(auto_describe=False)
        for collector in (self, ProcessCollector(registry=None), PlatformCollector(registry=None)):
            self._registry.register(collector)

    # --- what happened, in one call each -----------------------------------------------------------------------

    def accepted(self, events: Sequence[Event]) -> None:
        """These were committed, and are answered 202."""
        count = self.events_accepted.inc
        for event in events:
            count(event.type)
        self.rollup.accepted(events)

    def started(self, webhook: Webhook, lag_s: float) -> None:
        """The first attempt of a delivery began so long after the switch's push."""
        self.delivery_lag_seconds.observe(lag_s)
        self.rollup.started(webhook, lag_s)

    def attempted(self, webhook: Webhook, outcome: Outcome) -> None:
        """One attempt of a delivery ended; a success also ends the delivery."""
        ok = outcome.ok
        self.attempt_seconds.observe(outcome.duration_us * 1e-6)
        self.rollup.attempted(webhook, ok, outcome.duration_us)
        response = outcome.response
        if response is None:
            self.attempts.inc(outcome.error or ErrorKind.ABANDONED)
        elif ok:
            self.attempts.inc(SUCCESS)
            self.deliveries.inc(SUCCESS)
        else:
            self.attempts.inc(f"http_{response.status // 100}xx")

    def given_up(self) -> None:
        """A delivery has used up its schedule, and waits as `failed` for a replay."""
        self.deliveries.inc(FAILURE)

    # --- what is asked at a scrape -----------------------------------------------------------------------------

    def watch_lanes(self, sample: Callable[[], Iterable[LaneSample]]) -> None:
        """Ask `sample` for the lanes at each scrape: nothing is updated for each event."""
        self._lanes = sample

    def watch_unsettled(self, count: Callable[[], Mapping[str, int]]) -> None:
        """Ask `count` for the rows of `deliveries` by state at each scrape; it answers from memory."""
        self._unsettled = count

    def render(self) -> bytes:
        """Everything in Prometheus's text format, to be sent as `CONTENT_TYPE`."""
        return generate_latest(self._registry) + self._lane_text().encode()

    def collect(self) -> Iterable[Metric]:
        for accumulator in (
            self.events_accepted,
            self.events_duplicate,
            self.events_rejected,
            self.intake_commit_seconds,
            self.intake_batch_events,
            self.deliveries,
            self.attempts,
            self.attempt_seconds,
            self.delivery_lag_seconds,
            self.recorder_commit_seconds,
            self.recorder_batch_attempts,
            self.event_loop_lag_seconds,
        ):
            yield accumulator.family()
        unsettled = GaugeMetricFamily(
            "gateway_deliveries_unsettled",
            "Deliveries that are stored because they are not settled.",
            labels=("state",),
        )
        counts = self._unsettled()
        for state in UNSETTLED:
            unsettled.add_metric((state,), counts.get(state, 0))
        yield unsettled
        build = GaugeMetricFamily("gateway_build_info", "The version, always 1.", labels=("version", "python"))
        build.add_metric((self._version, platform.python_version()), 1)
        yield build

    def _lane_text(self) -> str:
        """The lanes' gauges, by hand: 1,000 webhooks hold the event loop up for 2 ms so, through the client for 20."""
        lanes = list(self._lanes())
        gauges: tuple[tuple[str, str, Callable[[LaneSample], float]], ...] = (
            ("gateway_lane_depth", "Deliveries waiting in memory.", lambda lane: lane.depth),
            (
                "gateway_lane_oldest_age_seconds",
                "Age of the oldest delivery that waits.",
                lambda lane: lane.oldest_age_s,
            ),
            ("gateway_lane_in_flight", "Attempts under way.", lambda lane: lane.in_flight),
            ("gateway_breaker_open", "1 while the target is given a rest.", lambda lane: int(lane.breaker_open)),
        )
        lines = []
        for name, help, value in gauges:
            lines.append(f"# HELP {name} {help}\n# TYPE {name} gauge\n")
            # An id is a UUID, so there is nothing to escape.
            lines += [f'{name}{{webhook="{lane.webhook_id}"}} {value(lane)}\n' for lane in lanes]
        return "".join(lines)
