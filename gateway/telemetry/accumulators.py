"""Counts and histograms for the hot path, in plain numbers, turned into metric families only when scraped.

The client library's own take a lock and several calls for each observation: 670 ns against 150 ns here for a
histogram, 340 against 125 for a counter. Invariant: only the event loop's thread writes them, so no lock is needed.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Sequence

from prometheus_client.core import CounterMetricFamily, HistogramMetricFamily

LABEL_VALUES_LIMIT = 64
OTHER = "other"
"""Counts what comes under a new label value when there are `LABEL_VALUES_LIMIT` of them already."""


class Count:
    """A number that only grows."""

    __slots__ = ("_help", "_name", "value")

    def __init__(self, name: str, help: str) -> None:
        self._name = name
        self._help = help
        self.value = 0

    def inc(self, amount: int = 1) -> None:
        self.value += amount

    def family(self) -> CounterMetricFamily:
        return CounterMetricFamily(self._name, self._help, value=self.value)


class LabelledCount:
    """One number for each value of one label. Values that are `known` show as 0 from the start, so that rates work."""

    __slots__ = ("_help", "_label", "_name", "values")

    def __init__(self, name: str, help: str, *, label: str, known: Iterable[str] = ()) -> None:
        self._name = name
        self._help = help
        self._label = label
        self.values: dict[str, int] = dict.fromkeys(known, 0)

    def inc(self, value: str, amount: int = 1) -> None:
        values = self.values
        if value not in values and len(values) >= LABEL_VALUES_LIMIT:
            value = OTHER
        values[value] = values.get(value, 0) + amount

    def family(self) -> CounterMetricFamily:
        family = CounterMetricFamily(self._name, self._help, labels=(self._label,))
        for value, count in self.values.items():
            family.add_metric((value,), count)
        return family


class Histogram:
    """How many observations fell into each bucket, and their sum. `bounds` are upper ones, inclusive, ascending."""

    __slots__ = ("_bounds", "_buckets", "_help", "_name", "_sum")

    def __init__(self, name: str, help: str, *, bounds: Sequence[float]) -> None:
        assert list(bounds) == sorted(set(bounds)), "bounds ascend"
        self._name = name
        self._help = help
        self._bounds = tuple(map(float, bounds))
        self._buckets = [0] * (len(bounds) + 1)
        self._sum = 0.0

    def observe(self, value: float) -> None:
        self._buckets[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def family(self) -> HistogramMetricFamily:
        family = HistogramMetricFamily(self._name, self._help)
        total = 0
        cumulative = []
        for bound, count in zip((*map(str, self._bounds), "+Inf"), self._buckets, strict=True):
            total += count
            cumulative.append((bound, total))
        family.add_metric((), cumulative, self._sum)
        return family
