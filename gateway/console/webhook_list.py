"""Which webhooks a page of the list shows.

Invariant: every webhook is on exactly one page of the list, whatever the search.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from urllib.parse import urlencode

from gateway.console import chart
from gateway.console.chart import Shape
from gateway.console.webhook_figures import WebhookFigures
from gateway.console.words import webhook_title
from gateway.model import Webhook, WebhookState

ROWS = 50
SEARCH_CHARS = 200
SPARK_LEAST = 4
"""So many attempts in an hour, at least, make a bar of full height: a single one shall not look like a storm."""
LATENCY_LEAST_MS = 10.0
"""What a line of full height stands for, at least: a millisecond more or less shall not look like a mountain."""


@dataclass(frozen=True, slots=True)
class Found:
    """`first` and `last` count from one; `previous` and `next` are the queries of the pages around, empty for none."""

    rows: list[Webhook]
    search: str
    state: str
    first: int
    last: int
    total: int
    previous: str
    next: str


def find_webhooks(webhooks: Iterable[Webhook], query: Mapping[str, str]) -> Found:
    """By `q` in name, URL and events, by `state`, and the `page` of what is found; what makes no sense is left out."""
    search = query.get("q", "").strip()[:SEARCH_CHARS]
    state = query.get("state", "") if query.get("state") in list(WebhookState) else ""
    found = [each for each in webhooks if _matches(each, search.casefold()) and state in ("", each.state)]
    found.sort(key=lambda each: (webhook_title(each).casefold(), each.id))
    text = query.get("page", "")
    pages = max(1, -(-len(found) // ROWS))
    page = min(max(int(text), 1), pages) if text.isascii() and text.isdigit() and len(text) < 6 else 1
    start = (page - 1) * ROWS
    shown = found[start : start + ROWS]
    around = {"q": search, "state": state}
    return Found(
        rows=shown,
        search=search,
        state=state,
        first=start + 1,
        last=start + len(shown),
        total=len(found),
        previous=urlencode({**around, "page": page - 1}) if page > 1 else "",
        next=urlencode({**around, "page": page + 1}) if page < pages else "",
    )


def flow(figures: WebhookFigures) -> tuple[Shape, ...]:
    """The last 24 hours as bars: what was delivered, and on top of it what failed."""
    ok = [float(hour.ok) for hour in figures.hours]
    failed = [float(hour.failed) for hour in figures.hours]
    top = max([SPARK_LEAST, *(a + b for a, b in zip(ok, failed, strict=True))])
    return (
        Shape("fill good", "Delivered", chart.bars(ok, top)),
        Shape("fill bad", "Failed", chart.bars(failed, top, below=ok)),
    )


def latency(figures: WebhookFigures) -> tuple[Shape, ...]:
    """How long attempts took, hour by hour: each webhook by a scale of its own, whose figures stand beside it."""
    p50, p95 = figures.hourly_ms(0.5), figures.hourly_ms(0.95)
    top = chart.scale_top([*p50, *p95], least=LATENCY_LEAST_MS)
    return (
        Shape("stroke waiting", "95 of 100 within (p95)", chart.line(p95, top)),
        Shape("stroke accent", "half within (p50)", chart.line(p50, top)),
    )


def _matches(webhook: Webhook, search: str) -> bool:
    return any(search in text.casefold() for text in (webhook.name, webhook.url, webhook.id, *webhook.events))
