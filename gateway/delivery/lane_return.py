"""What is offered to a lane while it goes back from spilling to direct.

Invariant: none of it passes what is stored: it is held aside, in order, until the store has told what is left. It is
counted in the queue's bytes, and bounded: a return for which too much would be held is broken off.
"""

from __future__ import annotations

from gateway.delivery.delivery import Delivery
from gateway.delivery.lane_queue import LaneQueue
from gateway.delivery.limits import Limits


class LaneReturn:
    """Owned by one lane."""

    def __init__(self, queue: LaneQueue, limits: Limits) -> None:
        self._queue = queue
        self._limits = limits
        self.aside: list[Delivery] | None = None
        """None while no return is under way."""

    @property
    def is_under_way(self) -> bool:
        return self.aside is not None

    def begin(self) -> None:
        self.aside = []

    def hold(self, delivery: Delivery) -> bool:
        """Hold it aside; False where there is no room for that."""
        assert self.aside is not None
        if self._queue.is_full or len(self.aside) >= self._limits.queue_deliveries:
            return False
        self._queue.count(delivery)
        self.aside.append(delivery)
        return True

    def end(self) -> list[Delivery]:
        """What was held, to be offered again."""
        held, self.aside = self.aside or [], None
        for delivery in held:
            self._queue.discount(delivery)
        return held
