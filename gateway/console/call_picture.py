"""One call on one picture: when each event came, and what each webhook was sent of it and when.

A call takes minutes, a delivery milliseconds and a retry hours, so the axis is not to scale: every stretch between two
things that happened is as wide as the logarithm of its length, and a long one says how long it is. Invariant: whatever
happened later stands further right.
"""

from __future__ import annotations

import itertools
import math
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.console.words import duration
from gateway.ids import id_ms
from gateway.model import DeliveryState
from gateway.store.attempt_log import AttemptSummary
from gateway.store.timeline import DeliveryView, EventView

LEFT, RIGHT = 1.0, 99.0
LEAST = 0.25
"""The weight of a stretch of no length, so that two things at one time can be told apart."""
LABEL_WIDTH = 9.0
"""A stretch this wide, in percent, says how long it is."""
ATTEMPTS_LIMIT = 40
"""So many attempts of one delivery are drawn; more would be a bar of colour."""


@dataclass(frozen=True, slots=True)
class Stretch:
    """From `x` to `x + width`, in percent. `kind`: `wait`, `pause` or `due`; the first two are of the past."""

    kind: str
    x: float
    width: float
    label: str


@dataclass(frozen=True, slots=True)
class Bar:
    """One attempt."""

    attempt: AttemptSummary
    x: float
    width: float
    started_ms: int


@dataclass(frozen=True, slots=True)
class Delivery:
    """One event at one webhook."""

    event: EventView
    view: DeliveryView
    stretches: tuple[Stretch, ...]
    bars: tuple[Bar, ...]
    left_out: int


@dataclass(frozen=True, slots=True)
class Track:
    """All that one webhook was sent of the call, in the order of the events."""

    webhook_id: str
    deliveries: tuple[Delivery, ...]


@dataclass(frozen=True, slots=True)
class Picture:
    """`marks` are the events with their place; `gaps` the long stretches of the axis."""

    marks: tuple[tuple[EventView, float], ...]
    gaps: tuple[Stretch, ...]
    tracks: tuple[Track, ...]


class Axis:
    """Places of instants, in Unix milliseconds, in percent of the width."""

    def __init__(self, instants: Iterable[float]) -> None:
        self._instants = sorted(set(instants))
        steps = [LEAST + math.log10(1 + later - earlier) for earlier, later in itertools.pairwise(self._instants)]
        whole = sum(steps) or 1.0
        sums = itertools.accumulate([0.0, *steps])
        self._places = [LEFT + (RIGHT - LEFT) * at / whole for at in sums]

    def __call__(self, instant: float) -> float:
        """The place of one of the instants that it was made of."""
        return round(self._places[bisect_left(self._instants, instant)], 3)

    def gaps(self) -> list[Stretch]:
        return [
            _stretch("gap", self, earlier, later)
            for earlier, later in itertools.pairwise(self._instants)
            if self(later) - self(earlier) >= LABEL_WIDTH
        ]


def picture(events: Sequence[EventView], now: datetime) -> Picture:
    """`events` in the order in which they were accepted; there is at least one."""
    now_ms = round(now.timestamp() * 1000)
    axis = Axis(_instants(events, now_ms))
    of_webhook: dict[str, list[Delivery]] = {}
    for event in events:
        for view in event.deliveries:
            of_webhook.setdefault(view.webhook_id, []).append(_delivery(event, view, axis, now_ms))
    return Picture(
        marks=tuple((event, axis(id_ms(event.id))) for event in events),
        gaps=tuple(axis.gaps()),
        tracks=tuple(Track(webhook_id, tuple(deliveries)) for webhook_id, deliveries in of_webhook.items()),
    )


def _instants(events: Sequence[EventView], now_ms: int) -> Iterable[float]:
    for event in events:
        yield id_ms(event.id)
        for view in event.deliveries:
            for attempt in view.attempts[:ATTEMPTS_LIMIT]:
                yield id_ms(attempt.id)
                yield _end_ms(attempt)
            if _is_open(view):
                yield now_ms
                if view.next_at is not None:
                    yield _due_ms(view.next_at, now_ms)


def _delivery(event: EventView, view: DeliveryView, axis: Axis, now_ms: int) -> Delivery:
    attempts = view.attempts[:ATTEMPTS_LIMIT]
    free_from: float = id_ms(event.id)
    stretches: list[Stretch] = []
    bars: list[Bar] = []
    for attempt in attempts:
        start, end = id_ms(attempt.id), _end_ms(attempt)
        if start > free_from:
            stretches.append(_stretch("pause" if bars else "wait", axis, free_from, start))
        bars.append(Bar(attempt, axis(start), round(axis(end) - axis(start), 3), start))
        free_from = max(free_from, end)
    if _is_open(view):
        if now_ms > free_from:
            stretches.append(_stretch("pause" if bars else "wait", axis, free_from, now_ms))
        if view.next_at is not None and (due := _due_ms(view.next_at, now_ms)) > now_ms:
            stretches.append(_stretch("due", axis, now_ms, due))
    return Delivery(event, view, tuple(stretches), tuple(bars), len(view.attempts) - len(attempts))


def _stretch(kind: str, axis: Axis, start: float, end: float) -> Stretch:
    return Stretch(kind, axis(start), round(axis(end) - axis(start), 3), duration((end - start) / 1000))


def _is_open(view: DeliveryView) -> bool:
    return view.state not in (DeliveryState.DELIVERED, DeliveryState.FAILED)


def _end_ms(attempt: AttemptSummary) -> float:
    return id_ms(attempt.id) + attempt.duration_us / 1000


def _due_ms(next_at: datetime, now_ms: int) -> int:
    return max(now_ms, round(next_at.timestamp() * 1000))
