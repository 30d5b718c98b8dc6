"""Cursors: a position that is read back as it was written, or refused."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.admin.paging import PageQuery, Position, decode_cursor, encode_cursor, paged
from gateway.errors import Problem


def read(cursor: str) -> Position | None:
    try:
        return decode_cursor("logs", cursor)
    except Problem:
        return None


positions = st.lists(st.text(max_size=40) | st.integers(-(2**53), 2**53) | st.none(), max_size=4)


@given(positions)
def test_a_cursor_leads_back_to_its_position(position: list[str | int | None]) -> None:
    assert decode_cursor("logs", encode_cursor("logs", position)) == position


@given(st.text(max_size=100))
def test_a_text_that_is_no_cursor_is_refused_as_a_parameter(text: str) -> None:
    with pytest.raises(Problem) as refused:
        decode_cursor("logs", text)
    assert refused.value.errors[0].pointer == "cursor"


@given(st.data())
def test_a_damaged_cursor_is_refused(data: st.DataObject) -> None:
    cursor = encode_cursor("logs", ["0198c7a0-0000-7000-8000-000000000000"])
    at = data.draw(st.integers(0, len(cursor) - 1))
    other = data.draw(st.sampled_from([each for each in "ABCxyz019_-" if each != cursor[at]]))
    assert read(cursor[:at] + other + cursor[at + 1 :]) in (None, read(cursor))


def test_a_cursor_of_another_list_is_refused() -> None:
    with pytest.raises(Problem):
        decode_cursor("audit", encode_cursor("logs", ["a"]))


@given(st.sets(st.text("abc", min_size=1, max_size=6), max_size=40), st.integers(1, 10))
def test_pages_together_are_the_whole_list_in_order(rows: set[str], limit: int) -> None:
    seen: list[str] = []
    query = PageQuery(limit=limit)
    while True:
        shown, after = paged("rows", list(rows), query, key=str)
        seen += shown
        if after is None:
            break
        query = PageQuery(limit=limit, cursor=after)
    assert seen == sorted(rows)
