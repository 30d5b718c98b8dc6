"""Charts and pictures: shapes that say what the numbers say."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.console.call_picture import LEFT, RIGHT, Axis, picture
from gateway.console.chart import HEIGHT, bars, line, scale_top
from gateway.ids import IdSource, id_ms
from gateway.model import DeliveryState
from gateway.store.attempt_log import AttemptSummary
from gateway.store.timeline import DeliveryView, EventView

HOOK = "hook"


@given(st.lists(st.floats(0, 1e9), max_size=20))
def test_no_value_exceeds_its_scale_and_none_is_lost_in_it(values: list[float]) -> None:
    top = scale_top(values)
    assert all(value <= top * 1.000001 for value in values)
    assert top <= 10 * max([1.0, *values])


def test_a_bar_stands_on_the_one_below_it() -> None:
    assert bars([50, 0], 100, below=[25, 0]) == "M0.10 75.00V25.00h0.8V75.00z"


def test_a_line_is_interrupted_where_there_is_no_value() -> None:
    assert line([0, 10, None, 10], 10) == "M0.5 100.00L1.5 0.00M3 0.00h1"


@given(st.lists(st.one_of(st.none(), st.floats(0, 1e6)), max_size=30))
def test_a_path_is_numbers_and_commands_alone_and_stays_inside(values: list[float | None]) -> None:
    path = line(values, scale_top(values))
    assert re.fullmatch(r"[ML0-9.h ]*", path)
    assert all(0 <= float(y) <= HEIGHT for y in re.findall(r" ([\d.]+)", path))


@given(st.lists(st.floats(0, 1e13), min_size=1, max_size=30))
def test_what_happened_later_stands_further_right(instants: list[float]) -> None:
    axis = Axis(instants)
    places = [axis(instant) for instant in sorted(set(instants))]
    assert places == sorted(places)
    assert all(LEFT <= place <= RIGHT + 0.001 for place in places)


def attempt(id: str, *, ok: bool, duration_us: int = 5_000) -> AttemptSummary:
    status = 200 if ok else 503
    error = None if ok else "http_status"
    return AttemptSummary(id, "e", HOOK, "call.created", 1, False, ok, status, error, None, duration_us, "https://a.b/")


def call(*attempts: AttemptSummary, event_id: str, state: DeliveryState, next_at: datetime | None = None) -> EventView:
    return EventView(event_id, "call.created", "default", b"{}", (DeliveryView(HOOK, state, next_at, attempts),))


def test_a_delivery_waits_is_attempted_pauses_and_is_due() -> None:
    times = iter([1_000_000, 1_000_010, 1_060_000])
    ids = IdSource(clock_ms=lambda: next(times))
    event_id, first, second = ids.next(), ids.next(), ids.next()
    due = datetime.fromtimestamp(2_000, UTC)
    event = call(
        attempt(first, ok=False),
        attempt(second, ok=False),
        event_id=event_id,
        state=DeliveryState.RETRYING,
        next_at=due,
    )
    (track,) = picture([event], datetime.fromtimestamp(1_500, UTC)).tracks
    (delivery,) = track.deliveries
    assert [stretch.kind for stretch in delivery.stretches] == ["wait", "pause", "pause", "due"]
    assert delivery.bars[0].x < delivery.bars[1].x
    assert delivery.stretches[-1].label == "8 min 20 s"


@pytest.mark.parametrize("state", [DeliveryState.DELIVERED, DeliveryState.FAILED])
def test_a_settled_delivery_waits_for_nothing(state: DeliveryState) -> None:
    ids = IdSource()
    event_id = ids.next()
    event = call(attempt(ids.next(), ok=True), event_id=event_id, state=state)
    shown = picture([event], datetime.fromtimestamp(id_ms(event_id) / 1000 + 3_600, UTC))
    assert all(stretch.kind == "wait" for stretch in shown.tracks[0].deliveries[0].stretches)


def test_a_delivery_with_very_many_attempts_draws_some_and_counts_the_rest() -> None:
    ids = IdSource()
    event_id = ids.next()
    event = call(*(attempt(ids.next(), ok=False) for _ in range(100)), event_id=event_id, state=DeliveryState.FAILED)
    (delivery,) = picture([event], datetime.now(UTC)).tracks[0].deliveries
    assert len(delivery.bars) + delivery.left_out == 100 and delivery.left_out == 60
