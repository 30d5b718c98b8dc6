"""Ids grow, whatever the clock does."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

from hypothesis import given
from hypothesis import strategies as st

from gateway.ids import TAIL_BITS, ZERO_ID, IdSource, floor_id, id_ms, id_time

MS = st.integers(min_value=0, max_value=2**47)


@given(st.lists(MS, min_size=1, max_size=50), st.integers(min_value=0, max_value=2**TAIL_BITS))
def test_ids_grow_as_text_and_as_bytes_however_the_clock_steps(clock: list[int], noise: int) -> None:
    ticks = iter(clock)
    source = IdSource(clock_ms=lambda: next(ticks), random_bits=lambda bits: noise % (1 << bits))
    ids = [source.next() for _ in clock]
    assert ids == sorted(set(ids))
    assert [UUID(id).bytes for id in ids] == sorted(UUID(id).bytes for id in ids)


@given(MS)
def test_an_id_is_a_uuid_of_version_7_in_canonical_text_with_the_time_it_was_made(ms: int) -> None:
    id = IdSource(clock_ms=lambda: ms).next()
    parsed = UUID(id)
    assert str(parsed) == id and parsed.version == 7 and parsed.variant == "specified in RFC 4122"
    assert id_ms(id) == ms if ms else id_ms(id) in (0, 1)


@given(MS, MS)
def test_later_ids_stay_above_a_known_one_even_of_a_clock_that_was_ahead(known_ms: int, now_ms: int) -> None:
    known = IdSource(clock_ms=lambda: known_ms, random_bits=lambda bits: (1 << bits) - 1).next()
    source = IdSource(clock_ms=lambda: now_ms)
    source.stay_above(known)
    assert known < source.next() < source.next()


def test_a_millisecond_has_room_for_a_billion_ids_before_the_next_is_borrowed() -> None:
    source = IdSource(clock_ms=lambda: 1_000, random_bits=lambda bits: (1 << bits) - 1)
    ids = [source.next() for _ in range(100_000)]
    assert id_ms(ids[-1]) == 1_000 and len(set(ids)) == len(ids)


def test_the_floor_of_a_time_is_below_every_id_of_its_millisecond_and_above_those_before() -> None:
    at = datetime(2026, 3, 1, 12, 0, 0, 5_000, tzinfo=UTC)
    ms = int(at.timestamp() * 1000)
    lowest = IdSource(clock_ms=lambda: ms, random_bits=lambda bits: 0).next()
    before = IdSource(clock_ms=lambda: ms - 1, random_bits=lambda bits: (1 << bits) - 1).next()
    assert ZERO_ID < before < floor_id(at) <= lowest
    assert id_time(lowest) == at
