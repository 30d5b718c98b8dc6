"""Charts as shapes for an SVG that the page stretches to its width; its words stand beside it, as HTML.

Invariant: shapes are made of numbers alone. One span is one unit wide, and the height is `HEIGHT` units.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

HEIGHT = 100
BAR = 0.8
STEPS = (1, 2, 3, 4, 5, 6, 8, 10)
"""What a scale may end at, times a power of ten."""


@dataclass(frozen=True, slots=True)
class Shape:
    """`kind` is a CSS class, which says the colour and whether it is an area or a line; `path` an SVG path."""

    kind: str
    label: str
    path: str


def scale_top(values: Sequence[float | None], least: float = 1.0) -> float:
    """A round number that no value exceeds."""
    highest = max([least, *(value for value in values if value is not None)])
    power = 10.0 ** math.floor(math.log10(highest))
    return next(step * power for step in STEPS if step * power >= highest * 0.999999)


def bars(values: Sequence[float], top: float, below: Sequence[float] | None = None) -> str:
    """One bar for each value, standing on the bars of `below` where there are any."""
    path = []
    for place, value in enumerate(values):
        if value > 0:
            foot = 0.0 if below is None else below[place]
            low, high = _y(foot, top), _y(foot + value, top)
            path.append(f"M{place + (1 - BAR) / 2:.2f} {low}V{high}h{BAR}V{low}z")
    return "".join(path)


def line(values: Sequence[float | None], top: float) -> str:
    """A line through the middle of each span, interrupted where there is no value; a lone value is a short stroke."""
    path = []
    pen = "M"
    for place, value in enumerate(values):
        if value is None:
            pen = "M"
            continue
        y = _y(value, top)
        alone = pen == "M" and (place + 1 == len(values) or values[place + 1] is None)
        path.append(f"M{place} {y}h1" if alone else f"{pen}{place + 0.5} {y}")
        pen = "L"
    return "".join(path)


def _y(value: float, top: float) -> str:
    return f"{HEIGHT - min(value, top) / top * HEIGHT:.2f}"
