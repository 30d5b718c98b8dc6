"""What is offered to a lane while it goes back from spilling to direct.

Invariant: none of it passes what is stored: it is held aside, in order, until the store has told what is left. It is
counted in the queue's bytes, and bounded: a return for which too much would be held is broken off.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.delivery.backlog import Backlog
from gateway.delivery.delivery import Delivery
from gateway.delivery.lane.queue import LaneQueue
from gateway.delivery.limits import Limits


class LaneReturn:
    """Owned by one lane."""

    def __init__(self, queue: LaneQueue, backlog: Backlog, limits: Limits) -> None:
        self._queue = queue
        self._backlog = backlog
        self._limits = limits
        self.aside: list[Delivery] | None = None
        """None while no return is under way."""

    @property
    def is_under_way(self) -> bool:
        return self.aside is not None

    def begin(self) -> bool:
        """Have rows noted again and hold what is new aside; False where there is no way back to go."""
        if self.is_under_way or not self._backlog.spilling:
            return False
        self.aside = []
        self._backlog.begin_return()
        return True

    def hold(self, delivery: Delivery) -> bool:
        """Hold it aside; False where there is no room for that."""
        assert self.aside is not None
        if self._queue.is_full or len(self.aside) >= self._limits.queue_deliveries:
            return False
        self._queue.count(delivery)
        self.aside.append(delivery)
        return True

    def end(self, left: Sequence[tuple[str, str | None]] | None) -> list[Delivery]:
        """What was held, to be offered again: to a direct lane if few enough rows are `left`, None: it is not known."""
        if self.aside is None:
            return []  # broken off
        if left is None:
            self._backlog.spill()
        else:
            self._backlog.end_return(left)
        held, self.aside = self.aside, None
        for delivery in held:
            self._queue.discount(delivery)
        return held
