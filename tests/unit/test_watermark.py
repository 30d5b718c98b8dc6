"""The watermark is the longest settled prefix."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.delivery.watermark import Watermark


def test_a_batch_without_deliveries_is_settled_at_once() -> None:
    watermark = Watermark("0")
    watermark.mark("1", 0, 0.0)
    assert watermark.value == "1"


def test_an_unsettled_batch_holds_back_the_settled_ones_after_it() -> None:
    watermark = Watermark("0")
    first, second = watermark.mark("1", 1, 0.0), watermark.mark("2", 1, 0.0)
    second.settle()
    assert watermark.value == "0"
    first.settle()
    assert watermark.value == "2"


def test_settling_more_than_there_was_is_a_fault() -> None:
    mark = Watermark().mark("1", 1, 0.0)
    mark.settle()
    with pytest.raises(AssertionError):
        mark.settle()


@given(st.lists(st.integers(min_value=0, max_value=3), max_size=12), st.randoms(use_true_random=False))
def test_in_whatever_order_deliveries_settle_nothing_unsettled_is_passed(sizes: list[int], chance: object) -> None:
    watermark = Watermark("000")
    marks = [watermark.mark(f"{place + 1:03}", size, 0.0) for place, size in enumerate(sizes)]
    steps = [mark for mark in marks for _ in range(mark.open)]
    chance.shuffle(steps)  # type: ignore[attr-defined]  # hypothesis gives a Random
    before = watermark.value
    for mark in steps:
        mark.settle()
        unsettled = [each.last_id for each in marks if each.open]
        assert before <= watermark.value and all(watermark.value < id for id in unsettled)
        before = watermark.value
    assert watermark.value == (marks[-1].last_id if marks else "000")
