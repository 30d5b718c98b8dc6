"""What a lane knows of its deliveries that are stored.

A lane is either *direct*: its events stay in memory, and the few calls that are in trouble are parked in the
store; or *spilling*: it is behind (or held), everything new goes to the store and is read back in order.
Invariant while direct: `rows` holds every stored delivery that is not also queued in memory, so a new event of
one of their calls is put behind them. Invariant always: while a row of a call is being written or removed, and
until a load that began before is over, nothing that the store says of this call is believed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from gateway.delivery.delivery import Delivery
from gateway.delivery.limits import Limits
from gateway.log import DeliveryRow


class Backlog:
    """Owned by one lane, and told of each row before it is written and after its removal is committed."""

    def __init__(self, limits: Limits) -> None:
        self._limits = limits
        self.spilling = False
        self.load_now = False
        """Something became loadable; the next round of the loader need not wait."""
        self.in_memory: dict[str, Delivery] = {}
        """Stored deliveries that the lane also holds in memory, by event id, until their removal is committed."""
        self._rows: dict[str, str | None] = {}
        self._parked: Counter[str] = Counter()
        self._forgotten: set[str] | None = None
        """While returning to direct: what was removed since; the store's answer may still contain it."""
        self._writing: Counter[str] = Counter()
        self._written: set[str] | None = None
        """While a load is under way: the calls of which something was written since it began."""
        self._doubted: set[str] = set()
        """Calls of which a load was not believed, because something of them was being written."""
        self._passed: dict[str, None] = {}
        """Calls of which a row may come now that could not when it was read. Past the limit a sweep finds them."""

    @property
    def exists(self) -> bool:
        return self.spilling or bool(self._rows)

    def is_parked(self, call_key: str | None) -> bool:
        return call_key is not None and call_key in self._parked

    def spill(self) -> None:
        self.spilling = True
        self.load_now = True
        self._forgotten = None
        self._rows.clear()
        self._parked.clear()

    def stores(self, delivery: Delivery, *, keeps: bool) -> None:
        """It gets a row, or has one already; `keeps` says that it also stays in memory."""
        delivery.stored = True
        if keeps:
            self.in_memory[delivery.event.id] = delivery
            return
        self.in_memory.pop(delivery.event.id, None)
        self._add(delivery.event.id, delivery.call_key)
        if len(self._rows) > self._limits.parked_rows:
            self.spill()

    def resumes(self, delivery: Delivery) -> None:
        """A stored delivery comes into memory; its row stays until it has succeeded."""
        delivery.stored = True
        self.in_memory[delivery.event.id] = delivery

    def writes(self, delivery: Delivery) -> None:
        """Something about its row is on its way to the store; `written` must follow."""
        self._writing[_key(delivery.event.id, delivery.call_key)] += 1

    def written(self, delivery: Delivery) -> None:
        """It is committed: the next load tells the truth about its call."""
        key = _key(delivery.event.id, delivery.call_key)
        self._writing[key] -= 1
        if not self._writing[key]:
            del self._writing[key]
        if self._written is not None:
            self._written.add(key)
        if key in self._doubted and key not in self._writing:
            self._doubted.discard(key)
            self.ask_for(delivery.call_key)
        self.load_now = True

    def begin_load(self) -> None:
        self._written = set()

    def end_load(self) -> None:
        self._written = None

    def is_outdated(self, row: DeliveryRow) -> bool:
        """May a row that a load has brought have changed, or an earlier one of its call come, since it was read?"""
        key = _key(row.event_id, row.call_key)
        return (
            row.event_id in self.in_memory
            or key in self._writing
            or (self._written is not None and key in self._written)
        )

    def is_fresh(self, event_id: str) -> bool:
        """Is it not a retry that the lane holds?"""
        delivery = self.in_memory.get(event_id)
        return delivery is None or not delivery.tries

    def pass_over(self, row: DeliveryRow) -> None:
        """A row that a load has brought does not come. What waits behind another is asked for when that one is gone."""
        if row.event_id in self.in_memory:
            return
        key = _key(row.event_id, row.call_key)
        if key in self._writing:
            self._doubted.add(key)
        elif self._written is not None and key in self._written:
            self.ask_for(row.call_key)

    def take_passed(self, most: int) -> list[str]:
        """Calls to be asked for."""
        taken = [call_key for call_key, _ in zip(self._passed, range(most), strict=False)]
        for call_key in taken:
            del self._passed[call_key]
        return taken

    def ask_for(self, call_key: str | None) -> None:
        """What it was that kept a row of this call waiting may be over."""
        if call_key is not None and len(self._passed) < self._limits.parked_rows:
            self._passed[call_key] = None

    def forget(self, delivery: Delivery) -> None:
        """Its row is gone, or has become a failed one, which nothing waits for."""
        event_id = delivery.event.id
        self.in_memory.pop(event_id, None)
        if self._forgotten is not None:
            self._forgotten.add(event_id)
        if event_id in self._rows:
            del self._rows[event_id]
            if delivery.call_key is not None:
                self._parked[delivery.call_key] -= 1
                if not self._parked[delivery.call_key]:
                    del self._parked[delivery.call_key]

    def begin_return(self) -> None:
        """From now on rows are noted again; `end_return` adds those that were there before."""
        self._forgotten = set()

    def end_return(self, left: Sequence[tuple[str, str | None]]) -> None:
        """Go back to direct if `left`, the rows (event id, call key) that the store had meanwhile, are few enough."""
        forgotten, self._forgotten = self._forgotten, None
        if forgotten is None or len(left) > self._limits.return_rows:
            self.spill()
            return
        self.spilling = False
        for event_id, call_key in left:
            if event_id not in forgotten:
                self._add(event_id, call_key)
        if len(self._rows) > self._limits.parked_rows:  # with what was written meanwhile
            self.spill()

    def _add(self, event_id: str, call_key: str | None) -> None:
        if (self.spilling and self._forgotten is None) or event_id in self._rows:
            return
        self._rows[event_id] = call_key
        if call_key is not None:
            self._parked[call_key] += 1


def _key(event_id: str, call_key: str | None) -> str:
    """What is kept in order with it: its call, or it alone."""
    return event_id if call_key is None else call_key
