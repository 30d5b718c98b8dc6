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
    queue.add(second, again=tries > 0)
    queue.succeeded(queue.fresh.popleft())
    assert list(queue.retries if tries else queue.fresh) == [second]
    assert not (queue.fresh if tries else queue.retries)
