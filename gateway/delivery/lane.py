"""A lane: the way of events to one webhook, with its own queue, concurrency, connections and breaker.

Invariant: of one call at most one delivery is in flight, and none starts while an earlier one of that call is
unsettled, unless its wait for it is over. What happens to one call never holds up another.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import structlog

from gateway.clock import Clock
from gateway.delivery.attempt import attempt_record
from gateway.delivery.backlog import Backlog
from gateway.delivery.breaker import Breaker, BreakerState, target_is_down
from gateway.delivery.budget import Budget
from gateway.delivery.delivery import Delivery
from gateway.delivery.gate import Gate
from gateway.delivery.lane_state import LaneState
from gateway.delivery.limits import Limits
from gateway.delivery.recorder import Entry, Recorder
from gateway.delivery.request import Built, Wire
from gateway.delivery.retry import next_wait_s, parse_retry_after
from gateway.delivery.streak import Streak
from gateway.delivery.transport import Pool, Target, Transport
from gateway.errors import GatewayError
from gateway.ids import IdSource
from gateway.log import AttemptRecord, Due
from gateway.model import DeliveryState, ErrorKind, Outcome, Webhook, WebhookState
from gateway.rate import RateLimit
from gateway.telemetry.metrics import Metrics

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What all lanes share. `gone` is told of a webhook whose target answered 410; `nudge` wakes the loader."""

    recorder: Recorder
    transport: Transport
    gate: Gate
    clock: Clock
    budget: Budget
    ids: IdSource
    metrics: Metrics
    parse_target: Callable[[str], Target]
    retry_schedule_s: tuple[float, ...]
    chance: Callable[[], float]
    gone: Callable[[str], None]
    nudge: Callable[[], None]
    limits: Limits = field(default_factory=Limits)


class Lane:
    """Owned by the engine. All methods are synchronous and called from the event loop's thread."""

    def __init__(self, webhook: Webhook, surroundings: Surroundings) -> None:
        self.webhook = webhook
        self.breaker = Breaker()
        self.backlog = Backlog(surroundings.limits)
        self.streak: Streak | None = None
        """Since when every attempt has failed; None while the last one succeeded."""
        self._around = surroundings
        self._limits = surroundings.limits
        self._wire: Wire | None = None
        self._pool: Pool | None = None
        self._connections = 0
        self._is_gone = False
        """The target answered 410, and the webhook is about to be paused: nothing more is sent there meanwhile."""
        self._retired: set[asyncio.Task[None]] = set()
        self._rate: RateLimit | None = None
        self._fresh: deque[Delivery] = deque()
        self._retries: deque[Delivery] = deque()
        self._calls: dict[str, deque[Delivery] | None] = {}
        """Calls with a delivery queued or in flight, and what of them waits behind it."""
        self._flying: dict[Delivery, Built] = {}
        self._retries_flying = 0
        self._aside: list[Delivery] | None = None
        """What is offered while the lane returns from spilling to direct: it must not pass what is stored."""
        self._queued_bytes = 0
        self._wake: asyncio.TimerHandle | None = None
        self._closed = False
        self._equip()

    # --- what comes in -----------------------------------------------------------------------------------------

    def offer(self, delivery: Delivery) -> None:
        """Take a new delivery: start it, queue it, or store it where it must wait or there is no room."""
        backlog = self.backlog
        if self._closed:
            _drop(delivery)
        elif self._aside is not None:
            self._hold_aside(delivery)
        elif backlog.spilling or backlog.is_parked(delivery.call_key):
            self._put_away(delivery)
        elif self._is_full():
            backlog.spill()
            self._put_away(delivery)
        else:
            self._queue(delivery, self._fresh)
            if self._fresh:
                self.pump()

    def resume(self, due: Due) -> None:
        """Take back a stored delivery whose time has come, unless it is in memory already or is being written."""
        if self._closed or self.backlog.is_outdated(due.row) or len(self._retries) >= self._limits.retries:
            return
        if due.overtakes in self.backlog.in_memory:  # meanwhile; that one goes first, then it is looked again
            return
        delivery = Delivery(due.event, call_key=due.row.call_key, mark=None, accepted_at=None)
        delivery.attempts = due.row.attempts
        delivery.tries = due.row.tries
        delivery.wait_until = due.row.wait_until
        delivery.replay_id = due.row.replay_id
        delivery.overtakes = due.overtakes
        self.backlog.resumes(delivery)
        self._queue(delivery, self._retries if due.row.tries else self._fresh)

    def change(self, webhook: Webhook) -> None:
        """Go on under new settings; one that is no longer active puts what is waiting into the store."""
        old, self.webhook = self.webhook, webhook
        if webhook.url != old.url or (self._is_active and old.state is not WebhookState.ACTIVE):
            self.streak = None  # another target, or another chance: earlier failures say nothing of it
        self._is_gone = False
        self._equip()
        if not self._is_active:
            self._put_all_away()
        else:
            self.backlog.load_now = True
            self._around.nudge()
            self.pump()

    def close(self) -> None:
        """The webhook is deleted: nothing of it is owed any more."""
        self._closed = True
        for delivery in self._take_queued():
            _drop(delivery)
        self.backlog.spilling = False
        if self._pool is not None:
            self._retire(self._pool)

    # --- what goes out -----------------------------------------------------------------------------------------

    def pump(self) -> None:
        """Start whatever may start."""
        while (delivery := self._next()) is not None:
            self._start(delivery)

    def _next(self) -> Delivery | None:
        if not (self._fresh or self._retries) or not self._around.gate.is_open or not self._is_active:
            return None
        if len(self._flying) >= self.webhook.max_in_flight:
            return None
        if self.breaker.state is not BreakerState.CLOSED:
            now = self._around.clock.monotonic_s()
            if not self.breaker.room(now, len(self._flying)):
                if not self._flying:  # else the end of what is in flight looks here again
                    self._wake_in(self.breaker.probe_at - now)
                return None
        queue = self._fresh or self._retries
        # Fresh events go first, and keep half of the concurrency to themselves: a returning target is not
        # stampeded by everything that failed while it was away.
        if queue is self._retries and self._retries_flying >= max(1, self.webhook.max_in_flight // 2):
            return None
        if self._rate is not None and (wait_s := self._rate.wait_s(self._around.clock.monotonic_s())) > 0:
            self._wake_in(wait_s)
            return None
        return queue.popleft()

    def _start(self, delivery: Delivery) -> None:
        around = self._around
        self.breaker.starts()
        self._retries_flying += delivery.tries > 0
        delivery.attempts += 1
        attempt_id = around.ids.next()
        delivery.started_at = around.clock.monotonic_s()
        if delivery.accepted_at is not None:
            around.metrics.started(self.webhook, delivery.started_at - delivery.accepted_at)
            delivery.accepted_at = None
        assert self._wire is not None and self._pool is not None, "an active lane has a wire"
        wire = self._wire
        built = wire.build(
            delivery.event, attempt=delivery.attempts, now_s=int(around.clock.wall_s()), overtakes=delivery.overtakes
        )
        self._flying[delivery] = built
        self._pool.send(built.request, lambda outcome: self._finish(delivery, attempt_id, wire, outcome))

    def _finish(self, delivery: Delivery, attempt_id: str, wire: Wire, outcome: Outcome) -> None:
        built = self._flying.pop(delivery)
        self._retries_flying -= delivery.tries > 0
        self._around.metrics.attempted(self.webhook, outcome)
        record = attempt_record(
            attempt_id, self.webhook, delivery.event, wire, built, outcome, number=delivery.attempts, test=False
        )
        if outcome.ok:
            self.breaker.succeeded()
            self.streak = None
            self._succeed(delivery, record)
        else:
            self._note_failure(outcome)
            self._fail(delivery, record, outcome)
        self.pump()

    # --- how it ended ------------------------------------------------------------------------------------------

    def _succeed(self, delivery: Delivery, record: AttemptRecord) -> None:
        if delivery.stored:
            key = (self.webhook.id, delivery.event.id)
            self._write(Entry(delivery, record, removed=key, recorded=self._forgotten), delivery)
        else:
            self._add(Entry(delivery, record))
        self._leave_queue(delivery)
        if delivery.call_key is not None:
            followers = self._calls.pop(delivery.call_key)
            if followers:
                follower = followers.popleft()
                self._calls[delivery.call_key] = followers or None
                self._fresh.appendleft(follower)

    def _fail(self, delivery: Delivery, record: AttemptRecord, outcome: Outcome) -> None:
        now_s = self._around.clock.wall_s()
        delivery.tries += 1
        state, wait_s = self._verdict(delivery, outcome, now_s)
        if target_is_down(outcome):
            self.breaker.failed(_reason(outcome), self._around.clock.monotonic_s())
            if self.breaker.state is BreakerState.OPEN:
                log.info("breaker_open", webhook_id=self.webhook.id, reason=self.breaker.reason)
        else:
            self.breaker.succeeded()
        self._leave_queue(delivery)
        if self._closed:
            self._add(Entry(delivery, record))
            return
        self._set_deadline(delivery, now_s)
        row = delivery.row(self.webhook.id, state, datetime.fromtimestamp(now_s + wait_s, UTC))
        given_up = state is DeliveryState.FAILED
        if given_up:
            self._around.metrics.given_up()
        self.backlog.stores(delivery, keeps=False)
        recorded = self._forgotten if given_up else self._written
        self._write(Entry(delivery, record, row=row, recorded=recorded), delivery)
        if delivery.call_key is not None:
            for follower in self._calls.pop(delivery.call_key) or ():
                self._put_away(follower, queued=True)
        if outcome.response is not None and outcome.response.status == 410:
            self._is_gone = True
            self._around.gone(self.webhook.id)

    def _note_failure(self, outcome: Outcome) -> None:
        if outcome.error is ErrorKind.ABANDONED or not self._is_active:
            return
        now = self._around.clock.now()
        if self.streak is None:
            self.streak = Streak(now)
        self.streak.fails(_reason(outcome), now)

    def _verdict(self, delivery: Delivery, outcome: Outcome, now_s: float) -> tuple[DeliveryState, float]:
        """The state after a failure, and the seconds until it is due again."""
        if outcome.error is ErrorKind.ABANDONED:
            delivery.tries -= 1  # it was the gateway that gave up, not the target
            return (DeliveryState.RETRYING if delivery.tries else DeliveryState.QUEUED), 0.0
        if outcome.response is not None and outcome.response.status == 410:
            delivery.tries -= 1  # the webhook is paused; when it is resumed this is tried at once
            return DeliveryState.QUEUED, 0.0
        schedule_s = self.webhook.retry_schedule_s
        wait_s = next_wait_s(
            self._around.retry_schedule_s if schedule_s is None else schedule_s,
            delivery.tries,
            retry_after_s=_retry_after_s(outcome, now_s),
            chance=self._around.chance(),
        )
        return (DeliveryState.FAILED, 0.0) if wait_s is None else (DeliveryState.RETRYING, wait_s)

    # --- the store's side --------------------------------------------------------------------------------------

    def room(self, now: float) -> int:
        """How many stored deliveries the loader may bring."""
        if self._closed or not self._is_active or not self.backlog.exists or not self._around.gate.is_open:
            return 0
        if self.breaker.state is not BreakerState.CLOSED:
            return int(self.breaker.room(now, len(self._flying)) and not self._fresh and not self._retries)
        target = max(64, 4 * self.webhook.max_in_flight)
        held = len(self._fresh) + len(self._retries) + len(self._flying)
        return max(0, min(target - held, self._limits.retries - len(self._retries)))

    def secure(self, before: float) -> None:
        """Give a row to what came before then and is still unsettled, so that recovery need not go back so far."""
        for delivery in self._unsettled():
            if delivery.mark is not None and not delivery.stored and delivery.mark.at < before:
                self._set_deadline(delivery, self._around.clock.wall_s())
                self.backlog.stores(delivery, keeps=True)
                self._add_row(delivery, DeliveryState.QUEUED)

    def spill(self) -> None:
        """Go by what is stored from now on: rows were added from outside. It also stops a return to direct."""
        self.backlog.spill()

    def begin_return(self) -> bool:
        """Stop storing what is new, so that the store can tell what is left; `end_return` must follow."""
        if self._closed or not self._is_active or self._aside is not None or not self.backlog.spilling:
            return False
        self._aside = []
        self.backlog.begin_return()
        return True

    def end_return(self, left: Sequence[tuple[str, str | None]] | None) -> None:
        """Direct again if few enough rows are left; None: it could not be told. Nothing where it was broken off."""
        if self._aside is None:
            return
        if left is None or not self._is_active:
            self.backlog.spill()
        else:
            self.backlog.end_return(left)
        aside, self._aside = self._aside, None
        for delivery in aside:
            self._leave_queue(delivery)
            self.offer(delivery)

    # --- what it tells -----------------------------------------------------------------------------------------

    @property
    def depth(self) -> int:
        return len(self._fresh) + len(self._retries) + sum(len(queue) for queue in self._calls.values() if queue)

    @property
    def in_flight(self) -> int:
        return len(self._flying)

    def oldest_age_s(self, now: float) -> float:
        """Age of the oldest delivery in memory that has not been settled."""
        return max((now - d.mark.at for d in self._unsettled() if d.mark is not None), default=0.0)

    def state(self) -> LaneState:
        """How it is doing, for people."""
        breaker, clock = self.breaker, self._around.clock
        ahead_s = clock.wall_s() - clock.monotonic_s()
        is_closed = breaker.state is BreakerState.CLOSED
        return LaneState(
            breaker=breaker.state,
            breaker_reason=breaker.reason,
            opened_at=None if breaker.opened_at is None else datetime.fromtimestamp(breaker.opened_at + ahead_s, UTC),
            probe_at=None if is_closed else datetime.fromtimestamp(breaker.probe_at + ahead_s, UTC),
            in_memory=self.depth,
            in_flight=self.in_flight,
            stored_behind=self.backlog.exists,
            failing_since=None if self.streak is None else self.streak.since,
        )

    # --- inside ------------------------------------------------------------------------------------------------

    @property
    def _is_active(self) -> bool:
        return self.webhook.state is WebhookState.ACTIVE and self._wire is not None and not self._is_gone

    def _equip(self) -> None:
        """Build what depends on the webhook's settings. Connections are kept while they would be made alike."""
        before = self._wire
        webhook = self.webhook
        try:
            self._wire = Wire(webhook, self._around.parse_target)
        except GatewayError as error:  # the rules became stricter since it was saved
            log.error("webhook_refused", webhook_id=webhook.id, error=str(error))
            self._wire = None
        if self._rate is None or self._rate.per_s != webhook.rate_per_s:
            self._rate = None if webhook.rate_per_s is None else RateLimit(webhook.rate_per_s)
        moved = self._wire is None or before is None or before.url != self._wire.url
        if moved or webhook.max_in_flight != self._connections or not self._is_active:
            if self._pool is not None:
                self._retire(self._pool)
            self._pool = None
        if self._pool is None and self._is_active:
            self._connections = webhook.max_in_flight
            self._pool = self._around.transport.pool(max_connections=self._connections)
        if not self._is_active:
            self.backlog.spill()

    def _retire(self, pool: Pool) -> None:
        task = asyncio.get_running_loop().create_task(_close_when_idle(pool, set(self._flying), self._flying))
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

    async def aclose(self) -> None:
        """Close the connections; attempts under way end as abandoned."""
        if self._wake is not None:
            self._wake.cancel()
        for task in list(self._retired):
            task.cancel()
        if self._pool is not None:
            await self._pool.close()

    def _queue(self, delivery: Delivery, queue: deque[Delivery]) -> None:
        self._queued_bytes += delivery.bytes
        self._around.budget.take(delivery.bytes)
        call_key = delivery.call_key
        if call_key is not None:
            if call_key in self._calls:
                followers = self._calls[call_key]
                if followers is None:
                    followers = self._calls[call_key] = deque()
                followers.append(delivery)
                return
            self._calls[call_key] = None
        queue.append(delivery)

    def _leave_queue(self, delivery: Delivery) -> None:
        self._queued_bytes -= delivery.bytes
        self._around.budget.give(delivery.bytes)

    def _is_full(self) -> bool:
        limits = self._limits
        return (
            len(self._fresh) >= limits.queue_deliveries
            or self._queued_bytes >= limits.queue_bytes
            or self._around.budget.is_spent
        )

    def _hold_aside(self, delivery: Delivery) -> None:
        """Until the return is over; one for which this would take too much memory is broken off."""
        assert self._aside is not None
        if self._is_full() or len(self._aside) >= self._limits.queue_deliveries:
            self.end_return(None)
            self.offer(delivery)
            return
        self._queued_bytes += delivery.bytes
        self._around.budget.take(delivery.bytes)
        self._aside.append(delivery)

    def _put_all_away(self) -> None:
        self.backlog.spill()
        for delivery in self._take_queued():
            self._put_away(delivery)

    def _take_queued(self) -> list[Delivery]:
        """Empty the queues, in the order of the ids; what is in flight stays."""
        taken = [*self._fresh, *self._retries]
        self._fresh.clear()
        self._retries.clear()
        flying = {delivery.call_key for delivery in self._flying}
        for call_key, followers in list(self._calls.items()):
            taken.extend(followers or ())
            if call_key in flying:
                self._calls[call_key] = None
            else:
                del self._calls[call_key]
        for delivery in taken:
            self._leave_queue(delivery)
        return sorted(taken, key=lambda delivery: delivery.event.id)

    def _put_away(self, delivery: Delivery, *, queued: bool = False) -> None:
        """Leave a delivery to the store alone; `queued` says that it was counted as queued here."""
        if queued:
            self._leave_queue(delivery)
        had_row = delivery.stored
        self.backlog.stores(delivery, keeps=False)
        if not had_row:
            self._set_deadline(delivery, self._around.clock.wall_s())
            self._add_row(delivery, DeliveryState.QUEUED)

    def _add_row(self, delivery: Delivery, state: DeliveryState) -> None:
        row = delivery.row(self.webhook.id, state, self._around.clock.now())
        self._write(Entry(delivery, row=row, recorded=self._written), delivery)

    def _set_deadline(self, delivery: Delivery, now_s: float) -> None:
        """From when on it waits no longer for earlier events of its call: counted from when it first has to."""
        wait_s = self.webhook.order_wait_s
        if delivery.wait_until is None and delivery.call_key is not None and wait_s is not None:
            delivery.wait_until = datetime.fromtimestamp(now_s, UTC) + timedelta(seconds=wait_s)

    def _add(self, entry: Entry) -> None:
        self._around.recorder.add(entry)

    def _write(self, entry: Entry, delivery: Delivery) -> None:
        self.backlog.writes(delivery)
        self._add(entry)

    def _written(self, delivery: Delivery) -> None:
        self.backlog.written(delivery)
        self._around.nudge()

    def _forgotten(self, delivery: Delivery) -> None:
        self.backlog.forget(delivery)
        self._written(delivery)

    def _unsettled(self) -> Iterable[Delivery]:
        yield from self._flying
        yield from self._fresh
        for followers in self._calls.values():
            yield from followers or ()

    def _wake_in(self, wait_s: float) -> None:
        loop = asyncio.get_running_loop()
        at = loop.time() + max(wait_s, 0.001)
        if self._wake is not None:
            if self._wake.when() <= at:
                return
            self._wake.cancel()
        self._wake = loop.call_at(at, self._woken)

    def _woken(self) -> None:
        self._wake = None
        self._around.nudge()
        self.pump()


async def _close_when_idle(pool: Pool, theirs: set[Delivery], flying: dict[Delivery, Built]) -> None:
    """Let the attempts that a replaced pool still carries end on their own, then close it."""
    while any(delivery in flying for delivery in theirs):  # noqa: ASYNC110 (rare, and an event would cost each attempt)
        await asyncio.sleep(0.1)
    await pool.close()


def _drop(delivery: Delivery) -> None:
    if delivery.mark is not None:
        delivery.mark.settle()
        delivery.mark = None


def _reason(outcome: Outcome) -> str:
    return str(outcome.error) if outcome.response is None else f"HTTP {outcome.response.status}"


def _retry_after_s(outcome: Outcome, now_s: float) -> float | None:
    if outcome.response is None:
        return None
    for name, value in outcome.response.headers:
        if name == "retry-after":
            return parse_retry_after(value, now_s)
    return None
