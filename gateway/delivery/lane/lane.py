"""A lane: the way of events to one webhook. Here is the flow: what comes in, what goes out, and how it ended.

What waits and in which order is in `queue.py`, what is in flight in `flights.py`, what is stored in
`rows.py` and `../backlog.py`, what is read back in `supply.py`, what the settings say in `equipment.py`,
how the target does in `target.py`. Invariant: of one call at most one delivery is in flight, and none starts
while an earlier one of that call is unsettled, unless its wait for it is over. What happens to one call never holds
up another.
"""

from __future__ import annotations

from collections.abc import Sequence

from gateway.delivery.backlog import Backlog
from gateway.delivery.breaker import BreakerState
from gateway.delivery.delivery import Delivery
from gateway.delivery.lane.alarm import LaneAlarm
from gateway.delivery.lane.equipment import LaneEquipment
from gateway.delivery.lane.flights import LaneFlights
from gateway.delivery.lane.queue import LaneQueue
from gateway.delivery.lane.returning import LaneReturn
from gateway.delivery.lane.rows import LaneRows
from gateway.delivery.lane.state import LaneState
from gateway.delivery.lane.supply import LaneSupply, Room, may_come, overtaken
from gateway.delivery.lane.target import LaneTarget
from gateway.delivery.request import Wire
from gateway.delivery.surroundings import Surroundings
from gateway.delivery.verdict import judge, says_gone
from gateway.log import AttemptRecord, Due
from gateway.model import DeliveryState, Event, Outcome, Webhook, WebhookState


class Lane:
    """Owned by the engine. All methods are synchronous and called from the event loop's thread."""

    def __init__(self, webhook: Webhook, surroundings: Surroundings) -> None:
        self.webhook = webhook
        self.target = LaneTarget(webhook.id, surroundings.clock)
        self.backlog = Backlog(surroundings.limits)
        self.queue = LaneQueue(surroundings.budget, surroundings.limits)
        self.rows = LaneRows(webhook, self.backlog, surroundings)
        self.supply = LaneSupply(webhook.id, self.backlog, surroundings, self.rows.wait_is_over)
        self._around = surroundings
        self._flights = LaneFlights(surroundings, self._landed)
        self._flying = self._flights.flying
        self._equipment = LaneEquipment(surroundings, self._flying.keys)
        self._return = LaneReturn(self.queue, self.backlog, surroundings.limits)
        self._alarm = LaneAlarm(self._woken)
        self._is_active = False
        self._closed = False
        self._equip()

    # --- what comes in -----------------------------------------------------------------------------------------

    def offer(self, delivery: Delivery) -> None:
        """Take a new delivery: start it, queue it, or store it where it must wait or there is no room."""
        backlog = self.backlog
        if self._closed:
            _drop(delivery)
        elif self._return.is_under_way:
            self._hold_aside(delivery)
        elif backlog.spilling or backlog.is_parked(delivery.call_key):
            self.rows.put_away(delivery)
        elif self.queue.is_full:
            backlog.spill()
            self.rows.put_away(delivery)
        else:
            self.queue.add(delivery)
            if self.queue.fresh:
                self.pump()

    def resume(self, due: Due, event: Event) -> None:
        """Take back a stored delivery whose time has come, unless what it was chosen by has changed meanwhile."""
        if self._closed or not may_come(due, self.backlog, self.rows.wait_is_over):
            self.backlog.pass_over(due.row)
            return
        delivery = Delivery.stored_as(due.row, event)
        delivery.overtakes = overtaken(due, self.backlog)
        self.backlog.resumes(delivery)
        self.queue.add(delivery)

    def change(self, webhook: Webhook) -> None:
        """Go on under new settings; one that is no longer active puts what is waiting into the store."""
        old, self.webhook = self.webhook, webhook
        self.rows.webhook = webhook
        if webhook.url != old.url:
            self.target.forget()
        elif webhook.state is WebhookState.ACTIVE and old.state is not WebhookState.ACTIVE:
            self.target.streak = None  # another chance: earlier failures say nothing of it
        self._equip()
        if not self._is_active:
            for delivery in self.queue.take_all(self._flying):
                self.rows.put_away(delivery)
        else:
            self.supply.rewind()
            self.backlog.load_now = True
            self._around.nudge()
            self.pump()

    def _equip(self) -> None:
        self._is_active = self._equipment.fit(self.webhook)
        self._tell_patience()
        if not self._is_active:
            self.backlog.spill()

    def _tell_patience(self) -> None:
        can_try = self._is_active and self.target.breaker.state is BreakerState.CLOSED
        self.rows.patience.tells(can_try, self._around.clock.now())

    def close(self) -> None:
        """The webhook is deleted: nothing of it is owed any more."""
        self._closed = True
        for delivery in self.queue.take_all(self._flying):
            _drop(delivery)
        self.backlog.spilling = False
        self._equipment.retire()

    async def aclose(self) -> None:
        """Close the connections; attempts under way end as abandoned."""
        self._alarm.cancel()
        await self._equipment.aclose()

    # --- what goes out -----------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Start whatever may start."""
        while (delivery := self._next()) is not None:
            wire, pool = self._equipment.wire, self._equipment.pool
            assert wire is not None and pool is not None, "an active lane has a wire"
            self.target.breaker.starts()
            self._flights.start(delivery, self.webhook, wire, pool)

    def _next(self) -> Delivery | None:
        queue = self.queue.fresh or self.queue.retries
        if not queue or not self._around.gate.is_open or not self._is_active:
            return None
        if len(self._flying) >= self.webhook.max_in_flight:
            return None
        if self.target.breaker.state is not BreakerState.CLOSED:
            now = self._around.clock.monotonic_s()
            if not self.target.breaker.room(now, len(self._flying)):
                if not self._flying:  # else the end of what is in flight looks here again
                    self._alarm.wake_in(self.target.breaker.probe_at - now)
                return None
        # Fresh events go first, and keep half of the concurrency to themselves: a returning target is not
        # stampeded by everything that failed while it was away.
        if queue is self.queue.retries and self._flights.retries >= max(1, self.webhook.max_in_flight // 2):
            return None
        rate = self._equipment.rate
        if rate is not None and (wait_s := rate.wait_s(self._around.clock.monotonic_s())) > 0:
            self._alarm.wake_in(wait_s)
            return None
        return queue.popleft()

    def _woken(self) -> None:
        self._around.nudge()
        self.pump()

    # --- how it ended ------------------------------------------------------------------------------------------

    def _landed(self, delivery: Delivery, record: AttemptRecord, wire: Wire, outcome: Outcome) -> None:
        is_in_force = wire.url == self.webhook.url
        if outcome.ok:
            if is_in_force:
                self.target.succeeded()
                if self.rows.patience.is_interrupted:
                    self._tell_patience()
            self.rows.succeed(delivery, record, is_last=not self.queue.has_followers(delivery))
            self.queue.succeeded(delivery)
        else:
            if is_in_force:
                self._blame(outcome)
            self._fail(delivery, record, outcome)
        self.pump()

    def _blame(self, outcome: Outcome) -> None:
        self.target.failed(outcome, counts=self._is_active)
        if says_gone(outcome) and not self._closed:
            self._is_active = False  # it is about to be paused: nothing more is sent there meanwhile
            self._around.gone(self.webhook.id, self.webhook.url)
        self._tell_patience()

    def _fail(self, delivery: Delivery, record: AttemptRecord, outcome: Outcome) -> None:
        followers = self.queue.failed(delivery)
        if self._closed:
            self.rows.note(delivery, record)
            return
        around, own_s = self._around, self.webhook.retry_schedule_s
        schedule_s = around.retry_schedule_s if own_s is None else own_s
        now_s = around.clock.wall_s()
        verdict = judge(outcome, delivery.tries, schedule_s=schedule_s, chance=around.chance(), now_s=now_s)
        delivery.tries = verdict.tries
        if verdict.state is DeliveryState.FAILED:
            around.metrics.given_up()
        self.rows.fail(delivery, record, verdict)
        for follower in followers:
            self.rows.put_away(follower)

    # --- the store's side --------------------------------------------------------------------------------------

    def room(self, now: float) -> Room:
        """How many stored deliveries the loader may bring."""
        if self._closed or not self._is_active or not self.backlog.exists or not self._around.gate.is_open:
            return Room()
        queue, in_flight = self.queue, len(self._flying)
        if self.target.breaker.state is not BreakerState.CLOSED:
            probes = self.target.breaker.room(now, in_flight) and not queue.fresh and not queue.retries
            return Room(int(probes), int(probes))
        again = queue.retries_held + self._flights.retries
        return self.supply.room(
            in_flight_most=self.webhook.max_in_flight,
            held=max(len(queue.fresh) + in_flight - self._flights.retries, len(self.backlog.in_memory) - again),
            retries_held=again,
            starved=not queue.fresh,
        )

    def secure(self, before: float) -> None:
        """Give a row to what came before then and is still unsettled."""
        self.rows.secure([*self._flying, *self.queue.unstored()], before)

    def spill(self) -> None:
        """Go by what is stored from now on: rows were added from outside. It also stops a return to direct."""
        self.backlog.spill()
        self.supply.step_back()

    def reread(self) -> None:
        """Go by what is stored alone: rows were withdrawn from outside, of which memory may hold some."""
        self.spill()
        for delivery in self.queue.take_all(self._flying):
            self.rows.put_away(delivery)

    def begin_return(self) -> bool:
        """Stop storing what is new, so that the store can tell what is left; `end_return` must follow."""
        return not self._closed and self._is_active and self._return.begin()

    def end_return(self, left: Sequence[tuple[str, str | None]] | None) -> None:
        """Direct again if few enough rows are left; None: it could not be told. Nothing where it was broken off."""
        for delivery in self._return.end(left if self._is_active else None):
            self.offer(delivery)

    def _hold_aside(self, delivery: Delivery) -> None:
        if not self._return.hold(delivery):
            self.end_return(None)
            self.offer(delivery)

    # --- what it tells -----------------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        return self.queue.depth

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    def oldest_age_s(self, now: float) -> float:
        """Age of the oldest delivery in memory that has not been settled."""
        unsettled = [*self._flying, *self.queue.unstored()]
        return max((now - each.mark.at for each in unsettled if each.mark is not None), default=0.0)

    def state(self) -> LaneState:
        """How it is doing, for people."""
        return LaneState.of(
            self.target,
            self._around.clock,
            in_memory=self.depth,
            in_flight=self.in_flight,
            stored_behind=self.backlog.exists,
        )


def _drop(delivery: Delivery) -> None:
    if delivery.mark is not None:
        delivery.mark.settle()
        delivery.mark = None
