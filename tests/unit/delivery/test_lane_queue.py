"""A lane's queue: what waits behind another of its call goes where it belongs when its turn comes."""

from __future__ import annotations

import pytest

from gateway.delivery.budget import Budget
from gateway.delivery.delivery import Delivery
from gateway.delivery.lane.queue import LaneQueue
from gateway.delivery.limits import Limits
from gateway.model import Event


def delivery(id: str, tries: int) -> Delivery:
    made = Delivery(Event(id, 1, "call.ended", "call", None, b"{}", ()), call_key="call", mark=None, accepted_at=None)
    made.tries = tries
    return made


@pytest.mark.parametrize("tries", [0, 1])
def test_what_waited_behind_a_success_takes_the_place_of_a_fresh_one_only_if_it_is(tries: int) -> None:
    queue = LaneQueue(Budget(), Limits())
    first, second = delivery("1", 0), delivery("2", tries)
    queue.add(first)
    queue.add(second)
    queue.succeeded(queue.fresh.popleft())
    assert list(queue.retries if tries else queue.fresh) == [second]
    assert not (queue.fresh if tries else queue.retries)


def test_a_retry_that_waits_behind_another_of_its_call_is_held_until_it_has_gone() -> None:
    queue = LaneQueue(Budget(), Limits())
    for each in (delivery("1", 0), delivery("2", 1), delivery("3", 0)):
        queue.add(each)
    assert queue.retries_held == 1
    queue.succeeded(queue.fresh.popleft())
    assert queue.retries_held == 1
    queue.succeeded(queue.retries.popleft())
    assert queue.retries_held == 0


@pytest.mark.parametrize("ended", ["failed", "taken"])
def test_retries_that_are_put_away_from_behind_another_are_held_no_longer(ended: str) -> None:
    queue = LaneQueue(Budget(), Limits())
    first, second = delivery("1", 0), delivery("2", 1)
    queue.add(first)
    queue.add(second)
    put_away = queue.failed(queue.fresh.popleft()) if ended == "failed" else queue.take_all({first})
    assert second in put_away and queue.retries_held == 0
