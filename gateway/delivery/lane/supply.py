"""What a lane reads of its stored deliveries, and where it has read to.

Each state is read on from where the last load ended, so that a backlog is read once: fresh ones and retries each for
themselves, with room of their own, so that neither takes the other's. What was passed because it had to wait behind
another is asked for by its call when that one is gone; and all is swept once more, slowly, for what can not be told so.
Invariant: what one load reads is bounded, whatever waits in the store.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from datetime import datetime, timedelta

import msgspec

from gateway.delivery.backlog import Backlog
from gateway.delivery.surroundings import Surroundings
from gateway.log import BEGINNING, EARLIER_MOST, DeliveryRow, Due, Page, Place
from gateway.model import DeliveryState

AHEAD_LEAST = 64
PAGE_LEAST = 64
"""Rows that are looked through for even one: while a breaker is open, for its probe."""
SWEEP_EVERY_S = 1.0
STEP_BACK = timedelta(seconds=10)
"""How long before its rows are seen a replay may have dated them."""

WaitIsOver = Callable[[DeliveryRow], bool]
"""Has this one waited for the earlier ones of its call for as long as it must?"""


class Room(msgspec.Struct, frozen=True):
    """How many a lane can take now: for a first try, and for another one."""

    fresh: int = 0
    retries: int = 0


class Scan:
    """One way through the rows of one state, from a place on."""

    def __init__(self, state: DeliveryState, *, sweeps: bool = False) -> None:
        self.state = state
        self.sweeps = sweeps
        self.after: Place = BEGINNING
        self.is_at_end = False
        self.rests_until = 0.0


class LaneSupply:
    """Owned by one lane; the loader does what it says. `now` is monotonic, times of rows are the wall clock's."""

    def __init__(self, webhook_id: str, backlog: Backlog, surroundings: Surroundings, wait_is_over: WaitIsOver) -> None:
        self.ahead = 0
        """How many fresh ones it reads ahead of the target."""
        self._webhook_id = webhook_id
        self._backlog = backlog
        self._budget = surroundings.budget
        self._limits = surroundings.limits
        self._wait_is_over = wait_is_over
        self._tails = [Scan(DeliveryState.QUEUED), Scan(DeliveryState.RETRYING)]
        self._sweeps = [Scan(DeliveryState.QUEUED, sweeps=True), Scan(DeliveryState.RETRYING, sweeps=True)]

    def room(self, *, in_flight_most: int, held: int, retries_held: int, starved: bool) -> Room:
        """What is to be read ahead: more for a target that has outrun the last load, in whole helpings."""
        least = max(AHEAD_LEAST, 4 * in_flight_most)
        if self._tails[0].is_at_end or not self._budget.has_room_for(self._limits.queue_bytes):
            self.ahead = least
        else:
            self.ahead = max(self.ahead, least)
            if starved:
                self.ahead = min(2 * self.ahead, max(self._limits.loaded, least))
        fresh = self.ahead - held
        retries = min(self._limits.retries, least) - retries_held
        return Room(fresh if 2 * fresh >= self.ahead else 0, max(0, retries))

    def load(self, room: Room, now: float, wall: datetime) -> Load:
        """What to read now, for which there is room."""
        load = Load(room, self._backlog, self._wait_is_over)
        load.calls = [(self._webhook_id, call_key) for call_key in self._backlog.take_passed(room.fresh)]
        for scan in [*self._tails, *self._sweeps]:
            rows = load.room[scan.state]
            if rows <= 0 or now < scan.rests_until:
                continue
            if scan.after[0] > wall:  # the clock was set back
                scan.after = BEGINNING
            if scan.sweeps:
                scan.rests_until = now + SWEEP_EVERY_S
            rows = self._limits.swept_rows if scan.sweeps else max(rows, PAGE_LEAST)
            load.pages.append((scan, Page(self._webhook_id, scan.state, scan.after, rows)))
        return load

    @property
    def is_at_end(self) -> bool:
        """Has all that is due for a first try been read?"""
        return self._tails[0].is_at_end

    def rewind(self) -> None:
        """What was read may have been put away again, or not have come: read everything once more."""
        for scan in self._tails:
            scan.after = BEGINNING
            scan.is_at_end = False

    def step_back(self) -> None:
        """Rows were added from outside, and may be dated before what was read last."""
        for scan in self._tails:
            scan.is_at_end = False
            if scan.after is not BEGINNING:
                scan.after = (scan.after[0] - STEP_BACK, scan.after[1])


class Load:
    """What one lane reads in one round, and how much of it there is room for yet."""

    def __init__(self, room: Room, backlog: Backlog, wait_is_over: WaitIsOver) -> None:
        self.room = {DeliveryState.QUEUED: room.fresh, DeliveryState.RETRYING: room.retries}
        self.pages: list[tuple[Scan, Page]] = []
        self.calls: list[tuple[str, str]] = []
        self._backlog = backlog
        self._wait_is_over = wait_is_over
        self._coming: set[str] = set()

    def choose(self, scan: Scan, page: Page, found: Sequence[Due]) -> list[Due]:
        """What of a page may come; the scan goes on after the last one that was looked at."""
        chosen = []
        looked_at = 0
        for due in found:
            if not self.room[scan.state]:
                break
            looked_at += 1
            if self.takes(due):
                chosen.append(due)
        if looked_at:
            row = found[looked_at - 1].row
            scan.after = (row.next_at, row.event_id)
        scan.is_at_end = looked_at == len(found) < page.rows
        if not scan.sweeps:
            self._backlog.load_now |= not scan.is_at_end
        elif scan.is_at_end:
            scan.after = BEGINNING
        return chosen

    def takes(self, due: Due) -> bool:
        """May this one come, and is there room for it? What may not is asked for again when that may have changed."""
        row = due.row
        if row.event_id in self._coming:
            return False
        if not self.room[row.state] or not may_come(due, self._backlog, self._wait_is_over, coming=self._coming):
            self._backlog.pass_over(row)
            return False
        self.room[row.state] -= 1
        self._coming.add(row.event_id)
        return True


def may_come(due: Due, backlog: Backlog, wait_is_over: WaitIsOver, *, coming: Collection[str] = ()) -> bool:
    """Is there nothing before it, or only what it may wait behind in memory, or what it has waited for long enough?

    `coming` are those that will be in memory before it.
    """
    if backlog.is_outdated(due.row):
        return False
    held = [each for each in due.earlier if each in backlog.in_memory or each in coming]
    if len(held) == len(due.earlier):
        # Not behind a retry, which may fail again; nor where there may be more before it than was told.
        return len(held) < EARLIER_MOST and all(backlog.is_fresh(each) for each in held)
    # One that is held goes first, and nothing here could tell whom else of its call this one would overtake.
    return not held and wait_is_over(due.row)


def overtaken(due: Due, backlog: Backlog) -> str | None:
    """The one that a delivery which may come leaves behind."""
    return None if not due.earlier or due.earlier[0] in backlog.in_memory else due.earlier[0]
