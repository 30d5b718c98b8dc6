"""`/`: how things are going, at a glance.

Invariant: a page that is open asks for one part of itself every few seconds, which comes from figures that all viewers
share; it never makes the store count attempts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from aiohttp import web

from gateway.console import chart
from gateway.console.chart import Shape
from gateway.console.figures import PERIODS, Figures, Overview, Point
from gateway.console.visit import Page, Visit
from gateway.console.words import duration, percent
from gateway.console.zone import Zone

PERIOD = "1h"


@dataclass(frozen=True, slots=True)
class Chart:
    """`top` is the value at the upper edge, as text; `hints` say one span each; `rows` are the same as a table."""

    id: str
    title: str
    top: str
    middle: str
    shapes: tuple[Shape, ...]
    hints: tuple[str, ...]
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


class OverviewPages:
    def __init__(self, figures: Figures) -> None:
        self._figures = figures

    def pages(self) -> list[Page]:
        return [Page(method="GET", path="/", handler=self.show)]

    async def show(self, visit: Visit) -> web.Response:
        period = PERIODS.get(visit.request.query.get("period", PERIOD), PERIODS[PERIOD])
        overview = await self._figures.overview(period, visit.who.tenant_id)
        zone = Zone.of(visit.request)
        context: dict[str, Any] = {
            "overview": overview,
            "charts": charts(overview, zone),
            "ticks": ticks(overview, zone),
            "periods": PERIODS.values(),
            "webhooks": len(visit.registry.webhooks(visit.who.tenant_id)),
            "percent": percent,
            "ms": ms,
        }
        if visit.is_partial:
            return visit.page("overview_part.html", **context)
        return visit.page("overview.html", **context)


def charts(overview: Overview, zone: Zone) -> tuple[Chart, ...]:
    points = overview.points
    times = [_time(point, zone, overview) for point in points]
    return _flow(points, times), _success(points, times), _lag(points, times)


def ticks(overview: Overview, zone: Zone) -> Sequence[str]:
    """Five times along the axis, the last of them now."""
    points, last = overview.points, len(overview.points) - 1
    return [*(_time(points[place * last // 4], zone, overview) for place in range(4)), "now"]


def _flow(points: Sequence[Point], times: Sequence[str]) -> Chart:
    delivered, failed = [point.delivered for point in points], [point.failed for point in points]
    events = [point.events for point in points]
    top = chart.scale_top([*(a + b for a, b in zip(delivered, failed, strict=True)), *events], least=10)
    shapes = (
        Shape("fill good", "Delivered", chart.bars(delivered, top)),
        Shape("fill bad", "Failed attempts", chart.bars(failed, top, below=delivered)),
        Shape("stroke accent", "Events accepted", chart.line(events, top)),
    )
    rows = tuple(
        (time, f"{point.events:,.0f}", f"{point.delivered:,.0f}", f"{point.failed:,.0f}")
        for time, point in zip(times, points, strict=True)
    )
    return _chart(
        "flow", "Each minute", (f"{top:,.0f}", f"{top / 2:,.0f}"), shapes, ("Events", "Delivered", "Failed"), rows
    )


def _success(points: Sequence[Point], times: Sequence[str]) -> Chart:
    shares = [point.success for point in points]
    shapes = (Shape("stroke good", "Attempts that succeeded", chart.line(shares, 1.0)),)
    rows = tuple((time, percent(share)) for time, share in zip(times, shares, strict=True))
    return _chart("success", "Success rate", ("100 %", "50 %"), shapes, ("Success",), rows)


def _lag(points: Sequence[Point], times: Sequence[str]) -> Chart:
    p50, p99 = [point.p50_ms for point in points], [point.p99_ms for point in points]
    top = chart.scale_top([*p50, *p99], least=10)
    shapes = (
        Shape("stroke waiting", "99 of 100 within (p99)", chart.line(p99, top)),
        Shape("stroke accent", "half within (p50)", chart.line(p50, top)),
    )
    rows = tuple((time, ms(low), ms(high)) for time, low, high in zip(times, p50, p99, strict=True))
    return _chart("lag", "From push to first attempt", (ms(top), ms(top / 2)), shapes, ("p50", "p99"), rows)


def _chart(
    id: str, title: str, scale: tuple[str, str], shapes: tuple[Shape, ...], columns: tuple[str, ...],
    rows: tuple[tuple[str, ...], ...],
) -> Chart:  # fmt: skip
    hints = tuple(
        f"{row[0]}: " + ", ".join(f"{name.lower()} {cell}" for name, cell in zip(columns, row[1:], strict=True))
        for row in rows
    )
    return Chart(id, title, scale[0], scale[1], shapes, hints, ("Time", *columns), rows)


def ms(value_ms: float | None) -> str:
    return "–" if value_ms is None else duration(value_ms / 1000)


def _time(point: Point, zone: Zone, overview: Overview) -> str:
    local = zone.local(point.at)
    return f"{local:%a %H:%M}" if overview.period.spans * overview.period.span_s > 86_400 else f"{local:%H:%M}"
