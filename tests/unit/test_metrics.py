"""Metrics: what is counted is what is scraped, and the manual page lists all of it."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path
from unittest.mock import Mock

import pytest
from prometheus_client.parser import text_string_to_metric_families

from gateway.model import ErrorKind, Event, Outcome, Response, Webhook, WebhookState
from gateway.telemetry.accumulators import LABEL_VALUES_LIMIT, OTHER, Histogram, LabelledCount
from gateway.telemetry.loop_lag import LoopLag
from gateway.telemetry.metrics import LaneSample, Metrics

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"
HOOK = Webhook(
    id="w1", tenant_id=1, name="crm", events=frozenset(), method="POST", url="https://crm.example.com/", access=None,
    state=WebhookState.ACTIVE, reason=None, signing_secrets=(),
)  # fmt: skip
LANE = LaneSample(webhook_id="w1", depth=3, oldest_age_s=1.5, in_flight=2, breaker_open=True)


def scraped(metrics: Metrics) -> dict[tuple[str, tuple[tuple[str, str], ...]], float]:
    families = text_string_to_metric_families(metrics.render().decode())
    return {
        (sample.name, tuple(sorted(sample.labels.items()))): sample.value
        for family in families
        for sample in family.samples
    }


def answered(status: int) -> Outcome:
    return Outcome(2_000, Response(status, (), b"", truncated=False))


def event(type: str) -> Event:
    return Event("e", 1, type, None, None, b"{}", ())


def test_accepted_events_are_counted_by_type() -> None:
    metrics = Metrics(version="1")
    metrics.accepted([event("call.created"), event("call.created"), event("call.ended")])
    values = scraped(metrics)
    assert values["gateway_events_accepted_total", (("type", "call.created"),)] == 2
    assert values["gateway_events_accepted_total", (("type", "call.ended"),)] == 1
    assert values["gateway_events_accepted_total", (("type", "call.saved"),)] == 0


@pytest.mark.parametrize(
    ("outcome", "label"),
    [
        (answered(204), "success"),
        (answered(301), "http_3xx"),
        (answered(404), "http_4xx"),
        (answered(503), "http_5xx"),
        (Outcome(2_000, error=ErrorKind.TIMEOUT), "timeout"),
        (Outcome(2_000, error=ErrorKind.TLS_EXPIRED), "tls_expired"),
    ],
)
def test_an_attempt_is_counted_by_how_it_ended(outcome: Outcome, label: str) -> None:
    metrics = Metrics(version="1")
    metrics.attempted(HOOK, outcome)
    values = scraped(metrics)
    assert values["gateway_attempts_total", (("outcome", label),)] == 1
    assert values["gateway_attempt_seconds_sum", ()] == pytest.approx(0.002)
    assert values["gateway_deliveries_total", (("outcome", "success"),)] == (label == "success")


def test_a_delivery_fails_once_its_schedule_is_used_up() -> None:
    metrics = Metrics(version="1")
    metrics.given_up()
    assert scraped(metrics)["gateway_deliveries_total", (("outcome", "failure"),)] == 1


def test_a_value_on_a_bound_falls_into_the_bucket_below_it() -> None:
    histogram = Histogram("h", "help", bounds=(1, 2.5))
    for value in (0.5, 1, 1.1, 2.5, 99):
        histogram.observe(value)
    samples = histogram.family().samples
    assert {sample.labels["le"]: sample.value for sample in samples if "le" in sample.labels} == {
        "1.0": 2, "2.5": 4, "+Inf": 5,
    }  # fmt: skip
    assert [sample.value for sample in samples if not sample.labels] == [5, pytest.approx(104.1)]


def test_label_values_are_bounded_whatever_is_counted() -> None:
    count = LabelledCount("c", "help", label="reason")
    for n in range(LABEL_VALUES_LIMIT + 10):
        count.inc(f"reason {n}")
    assert len(count.values) == LABEL_VALUES_LIMIT + 1
    assert count.values[OTHER] == 10


def test_lanes_are_asked_only_when_scraped() -> None:
    metrics = Metrics(version="1")
    sample = Mock(return_value=[LANE])
    metrics.watch_lanes(sample)
    metrics.attempted(HOOK, answered(200))
    sample.assert_not_called()
    values, webhook = scraped(metrics), (("webhook", "w1"),)
    sample.assert_called_once_with()
    assert values["gateway_lane_depth", webhook] == 3
    assert values["gateway_lane_oldest_age_seconds", webhook] == 1.5
    assert values["gateway_lane_in_flight", webhook] == 2
    assert values["gateway_breaker_open", webhook] == 1


def test_unsettled_deliveries_show_each_state_even_where_there_are_none() -> None:
    metrics = Metrics(version="1")
    metrics.watch_unsettled(lambda: {"retrying": 7})
    values = scraped(metrics)
    shown = {state: values["gateway_deliveries_unsettled", (("state", state),)] for state in ("queued", "retrying")}
    assert shown == {"queued": 0, "retrying": 7}


def test_the_manual_page_lists_exactly_what_is_exposed() -> None:
    metrics = Metrics(version="1")
    metrics.watch_lanes(lambda: [LANE])
    metrics.events_rejected.inc("validation")
    exposed = set()
    for family in text_string_to_metric_families(metrics.render().decode()):
        labels = {label for sample in family.samples for label in sample.labels if label != "le"}
        name = family.name + ("_total" if family.type == "counter" else "")
        exposed.add((name, family.type, frozenset(labels)))
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", PAGE.read_text(), re.MULTILINE)
    documented = {(name, type, frozenset(re.findall(r"`(\w+)`", labels))) for name, type, labels in rows}
    assert documented == exposed


def test_names_follow_prometheus_conventions() -> None:
    for name, type, _ in re.findall(r"^\| `(\w+)` \| (\w+) \|([^|]*)\|", PAGE.read_text(), re.MULTILINE):
        assert name.startswith(("gateway_", "process_", "python_"))
        assert name.endswith("_total") == (type == "counter")
        assert not name.endswith(("_ms", "_us", "_minutes", "_kilobytes"))


async def test_a_blocked_event_loop_shows_in_its_lag() -> None:
    metrics = Metrics(version="1")
    sampler = asyncio.create_task(LoopLag(metrics.event_loop_lag_seconds, interval_s=0.0).run())
    while not scraped(metrics)["gateway_event_loop_lag_seconds_count", ()]:
        await asyncio.sleep(0)
    sampler.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sampler
