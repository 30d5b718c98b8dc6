"""What waits in a lane's memory, and in which order it may start.

Invariant: of one call at most one delivery is queued or in flight; the others of it wait behind that one, in order,
and nothing else does. Every byte that is held here is counted, for the lane and in the budget of all.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator

from gateway.delivery.budget import Budget
from gateway.delivery.delivery import Delivery
from gateway.delivery.limits import Limits


class LaneQueue:
    """Owned by one lane. `fresh` are for their first try, `retries` for another one."""

    def __init__(self, budget: Budget, limits: Limits) -> None:
        self.fresh: deque[Delivery] = deque()
        self.retries: deque[Delivery] = deque()
        self.calls: dict[str, deque[Delivery] | None] = {}
        """Calls with a delivery queued or in flight, and what of them waits behind it."""
        self.bytes = 0
        """Of all that is queued, waits behind, is held aside or is in flight."""
        self._retries_behind = 0
        self._budget = budget
        self._limits = limits

    @property
    def depth(self) -> int:
        return len(self.fresh) + len(self.retries) + sum(len(queue) for queue in self.calls.values() if queue)

    @property
    def retries_held(self) -> int:
        """Retries that are queued, or wait behind another of their call."""
        return len(self.retries) + self._retries_behind

    @property
    def is_full(self) -> bool:
        limits = self._limits
        return (
            len(self.fresh) >= limits.queue_deliveries
            or self.bytes >= limits.queue_bytes
            or not self._budget.has_room_for(self.bytes)
        )

    def add(self, delivery: Delivery) -> None:
        """Queue it, for a first try or for another one; or behind what there is of its call."""
        self.count(delivery)
        is_retry = delivery.tries > 0
        call_key = delivery.call_key
        if call_key is not None:
            if call_key in self.calls:
                followers = self.calls[call_key]
                if followers is None:
                    followers = self.calls[call_key] = deque()
                followers.append(delivery)
                self._retries_behind += is_retry
                return
            self.calls[call_key] = None
        (self.retries if is_retry else self.fresh).append(delivery)

    def count(self, delivery: Delivery) -> None:
        """It takes memory from now on, until `discount`."""
        self.bytes += delivery.bytes
        self._budget.take(delivery.bytes)

    def discount(self, delivery: Delivery) -> None:
        self.bytes -= delivery.bytes
        self._budget.give(delivery.bytes)

    def has_followers(self, delivery: Delivery) -> bool:
        """Does something of its call wait behind it here?"""
        return delivery.call_key is not None and bool(self.calls.get(delivery.call_key))

    def succeeded(self, delivery: Delivery) -> None:
        """One that was in flight is done: the next of its call may start, before what has not begun."""
        self.discount(delivery)
        if delivery.call_key is not None:
            followers = self.calls.pop(delivery.call_key)
            if followers:
                follower = followers.popleft()
                self.calls[delivery.call_key] = followers or None
                self._retries_behind -= follower.tries > 0
                (self.retries if follower.tries else self.fresh).appendleft(follower)

    def failed(self, delivery: Delivery) -> Iterable[Delivery]:
        """One that was in flight must wait; so must what waited behind it, which this takes out, in order."""
        self.discount(delivery)
        followers = () if delivery.call_key is None else self.calls.pop(delivery.call_key) or ()
        for follower in followers:
            self._retries_behind -= follower.tries > 0
            self.discount(follower)
        return followers

    def take_all(self, flying: Collection[Delivery]) -> list[Delivery]:
        """Empty the queues, in the order of the ids; what is in flight stays."""
        taken = [*self.fresh, *self.retries]
        self.fresh.clear()
        self.retries.clear()
        self._retries_behind = 0
        in_flight = {delivery.call_key for delivery in flying}
        for call_key, followers in list(self.calls.items()):
            taken.extend(followers or ())
            if call_key in in_flight:
                self.calls[call_key] = None
            else:
                del self.calls[call_key]
        for delivery in taken:
            self.discount(delivery)
        return sorted(taken, key=lambda delivery: delivery.event.id)

    def unstored(self) -> Iterator[Delivery]:
        """What waits here and may have no row: retries always have one."""
        yield from self.fresh
        for followers in self.calls.values():
            yield from followers or ()
