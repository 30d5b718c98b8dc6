"""A run as a picture: an SVG of bars, readable on light and dark ground, made of nothing but text.

Invariant: bars of one panel share a scale that begins at zero.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

from bench.scenario import Scenario

WIDTH = 860
LABEL_WIDTH = 250
VALUE_WIDTH = 110
BAR_HEIGHT = 16
LINE_HEIGHT = 24
PANEL_GAP = 34
GATEWAY_COLOUR = "#3b76c4"
POSTGRES_COLOUR = "#8fb3de"
STYLE = (
    "text{font:13px system-ui,sans-serif;fill:#222}.title{font-weight:600}"
    "@media(prefers-color-scheme:dark){text{fill:#ddd}}"
)


@dataclass(frozen=True, slots=True)
class Bar:
    """One line of a panel: its parts are drawn one after the other; `value` is what is written behind them."""

    label: str
    parts: Sequence[tuple[float, str]]
    value: str


def svg(run: Mapping[str, Any], scenarios: Sequence[Scenario]) -> str:
    """Three panels: of the scenarios at full speed deliveries a second and CPU for each, of the paced ones lag."""
    taken = run["scenarios"]
    fast = [(each.title, taken[each.name]) for each in scenarios if each.name in taken and not each.paced]
    paced = [(each.title, taken[each.name]) for each in scenarios if each.name in taken and each.paced]
    panels = [
        ("Deliveries a second", [_rate(title, figures) for title, figures in fast]),
        ("CPU for a delivery, µs: gateway and PostgreSQL", [_cost(title, figures) for title, figures in fast]),
        ("Lag, ms: p50 and p99", [_lag(title, figures) for title, figures in paced]),
    ]
    lines: list[str] = []
    top = 24
    for heading, bars in panels:
        if bars:
            lines.append(f'<text class="title" x="8" y="{top}">{escape(heading)}</text>')
            lines += _panel(bars, top + 12)
            top += 12 + LINE_HEIGHT * len(bars) + PANEL_GAP
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {top}" width="{WIDTH}">'
        f"<style>{STYLE}</style>{''.join(lines)}</svg>\n"
    )


def _rate(title: str, taken: Mapping[str, Any]) -> Bar:
    return Bar(title, [(taken["deliveries_per_s"], GATEWAY_COLOUR)], f"{taken['deliveries_per_s']:,.0f}")


def _cost(title: str, taken: Mapping[str, Any]) -> Bar:
    share = taken["events"] / max(1, taken["deliveries"])
    gateway, postgres = taken["gateway_us_per_event"] * share, taken["postgres_us_per_event"] * share
    return Bar(title, [(gateway, GATEWAY_COLOUR), (postgres, POSTGRES_COLOUR)], f"{gateway:.0f} + {postgres:.0f}")


def _lag(title: str, taken: Mapping[str, Any]) -> Bar:
    p50, p99 = taken["lag_ms"].get("p50", 0.0), taken["lag_ms"].get("p99", 0.0)
    return Bar(title, [(p50, GATEWAY_COLOUR), (p99 - p50, POSTGRES_COLOUR)], f"{p50:.1f} / {p99:.1f}")


def _panel(bars: Sequence[Bar], top: int) -> list[str]:
    longest = max(sum(length for length, _ in bar.parts) for bar in bars) or 1.0
    scale = (WIDTH - LABEL_WIDTH - VALUE_WIDTH) / longest
    lines = []
    for place, bar in enumerate(bars):
        y = top + place * LINE_HEIGHT
        x = float(LABEL_WIDTH)
        lines.append(f'<text x="{LABEL_WIDTH - 8}" y="{y + 13}" text-anchor="end">{escape(bar.label)}</text>')
        for length, colour in bar.parts:
            lines.append(
                f'<rect x="{x:.1f}" y="{y}" width="{length * scale:.1f}" height="{BAR_HEIGHT}" fill="{colour}"/>'
            )
            x += length * scale
        lines.append(f'<text x="{x + 6:.1f}" y="{y + 13}">{escape(bar.value)}</text>')
    return lines
