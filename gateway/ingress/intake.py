"""The intake: every accepted event passes here, and a push is answered only after its commit.

Group commit without a timer: one flusher takes whatever has gathered as soon as it is free, so a batch is one
event under light load and hundreds under heavy load. Invariant: events are committed, and handed on, in the
order of their ids, which is the order in which they were submitted.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from datetime import datetime
from time import perf_counter

import structlog

from gateway.clock import Clock
from gateway.errors import FieldError, Problem, Unavailable
from gateway.ids import IdSource
from gateway.log import BadRow, Duplicate, EventLog, NewEvent, OutcomeUnknown
from gateway.model import Event, shard_of
from gateway.routing import Routing
from gateway.telemetry.metrics import Metrics

DEADLINE_S = 1.8
"""How long a push may wait for its commit to begin; past it the answer is 503."""
COMMIT_S = 1.0
"""What a commit gets at the least: a batch that waited behind a slow one must not fail for that alone."""
BATCH_EVENTS = 1_000
BATCH_BYTES = 8 * 1024 * 1024
WAITING_EVENTS = 50_000
WAITING_BYTES = 64 * 1024 * 1024
SWEEP_S = 0.1
RECONNECT_S = 0.1

log = structlog.get_logger(__name__)


class Waiting:
    """One submitted event, and the future of its answer: the id that the push is answered with, and whether it is new.

    `doubtful` says that an append of it ended in the unknown; `decided` that it was committed or refused.
    """

    __slots__ = ("answer", "decided", "doubtful", "new", "since")

    def __init__(self, new: NewEvent, answer: asyncio.Future[tuple[str, bool]], since: float) -> None:
        self.new = new
        self.answer = answer
        self.since = since
        self.decided = False
        self.doubtful = False

    def fail(self, error: Exception) -> None:
        self.decided = True
        if not self.answer.done():
            self.answer.set_exception(error)

    def succeed(self, event_id: str, *, duplicate: bool) -> None:
        self.decided = True
        if not self.answer.done():  # else the caller has gone away
            self.answer.set_result((event_id, duplicate))


class Intake:
    """Owns the events that are accepted but not committed. `dispatch` gets each committed batch, in order,
    and when (monotonic) each of its events was submitted.
    """

    def __init__(
        self,
        log: EventLog,
        *,
        routing: Routing,
        ids: IdSource,
        dispatch: Callable[[Sequence[Event], Sequence[float]], None],
        metrics: Metrics,
        clock: Clock,
        deadline_s: float = DEADLINE_S,
    ) -> None:
        self._log = log
        self._routing = routing
        self._ids = ids
        self._dispatch = dispatch
        self._metrics = metrics
        self._clock = clock
        self._deadline_s = deadline_s
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Waiting] = deque()
        self._waiting_bytes = 0
        self._in_doubt: list[Waiting] = []
        self._arrived = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._store_is_away = False
        self._closed: str | None = None

    @property
    def is_open(self) -> bool:
        return self._closed is None and not self._store_is_away

    def close(self, reason: str) -> None:
        """Refuse what comes from now on; what is waiting is still committed. `drained` tells when it is."""
        self._closed = reason

    async def drained(self) -> None:
        await self._idle.wait()

    def submit(
        self,
        *,
        tenant_id: int,
        type: str,
        call_key: str | None,
        account_id: str | None,
        payload: bytes,
        occurred_at: datetime | None = None,
        key: str | None = None,
        digest: bytes | None = None,
        about: str | None = None,
    ) -> asyncio.Future[tuple[str, bool]]:
        """Accept one event; the future gives (event id, duplicate) once it is committed.

        `about` is the webhook that an operational event speaks of, which never gets it.
        Raises `Unavailable` at once when the intake is closed or full or the store is away. The future
        fails with `Unavailable` at the deadline, and with `Problem` 422 where the key was used with other
        bytes or the store refuses the event's content.
        """
        if self._closed is not None:
            raise Unavailable(self._closed)
        if self._store_is_away:
            raise Unavailable("the database is away; nothing was stored")
        if self._waiting_bytes > WAITING_BYTES or len(self._waiting) >= WAITING_EVENTS:
            raise Unavailable("the intake is full; nothing was stored")
        webhook_ids = self._routing.match(tenant_id, type)
        if about is not None:
            webhook_ids = tuple(webhook_id for webhook_id in webhook_ids if webhook_id != about)
        event = Event(
            id=self._ids.next(),
            tenant_id=tenant_id,
            type=type,
            call_key=call_key,
            account_id=account_id,
            payload=payload,
            webhook_ids=webhook_ids,
            occurred_at=occurred_at,
        )
        answer: asyncio.Future[tuple[str, bool]] = self._loop.create_future()
        self._waiting.append(Waiting(NewEvent(event, shard_of(event), key, digest), answer, self._clock.monotonic_s()))
        self._waiting_bytes += len(payload)
        self._idle.clear()
        self._arrived.set()
        return answer

    async def run(self) -> None:
        """Commit batch after batch until cancelled. A lost fence ends it with `Fenced`."""
        sweeper = asyncio.create_task(self._sweep(), name="intake sweeper")
        try:
            while True:
                if not self._waiting and not self._in_doubt and not self._store_is_away:
                    self._idle.set()
                    self._arrived.clear()
                    await self._arrived.wait()
                await self._flush()
        finally:
            sweeper.cancel()
            self.close("the gateway is stopping")
            self._fail_all(Unavailable("the gateway is stopping; nothing was stored"))
            self._idle.set()

    async def _flush(self) -> None:
        if self._store_is_away or self._in_doubt:
            await self._return()
            return
        batch = self._take()
        try:
            await self._commit(batch)
        except Unavailable as error:
            log.warning("intake_commit_failed", error=str(error), events=len(batch))
            self._put_back(batch, doubtful=isinstance(error, OutcomeUnknown))
            self._store_is_away = True
            await asyncio.sleep(RECONNECT_S)  # one that refuses at once and can be read would be asked without a pause
        except BaseException:
            for waiting in batch:
                waiting.fail(Unavailable("the gateway is stopping; the event may not have been stored"))
            raise

    def _take(self) -> list[Waiting]:
        waiting = self._waiting
        if len(waiting) <= BATCH_EVENTS and self._waiting_bytes <= BATCH_BYTES:
            batch = list(waiting)
            waiting.clear()
            self._waiting_bytes = 0
            return batch
        batch = []
        taken_bytes = 0
        while waiting and len(batch) < BATCH_EVENTS and taken_bytes < BATCH_BYTES:
            batch.append(waiting.popleft())
            taken_bytes += len(batch[-1].new.event.payload)
        self._waiting_bytes -= taken_bytes
        return batch

    async def _commit(self, batch: list[Waiting]) -> None:
        """Append a batch; one that fails for a bad row is split until only that row fails."""
        began = perf_counter()
        try:
            async with asyncio.timeout(max(COMMIT_S, batch[0].since + self._deadline_s - self._clock.monotonic_s())):
                duplicates = await self._log.append([waiting.new for waiting in batch])
        except TimeoutError:
            raise OutcomeUnknown("the database did not commit in time") from None
        except BadRow as error:
            if len(batch) == 1:
                batch[0].fail(Problem(422, "validation", f"the event cannot be stored: {error}"))
                return
            middle = len(batch) // 2
            await self._commit(batch[:middle])
            await self._commit(batch[middle:])
            return
        self._metrics.intake_commit_seconds.observe(perf_counter() - began)
        self._metrics.intake_batch_events.observe(len(batch))
        self._settle(batch, duplicates)

    def _settle(self, batch: list[Waiting], duplicates: Sequence[Duplicate | None]) -> None:
        fresh: list[Waiting] = []
        for waiting, duplicate in zip(batch, duplicates, strict=True):
            if duplicate is None:
                fresh.append(waiting)
                waiting.succeed(waiting.new.event.id, duplicate=False)
            elif duplicate.same:
                self._metrics.events_duplicate.inc()
                waiting.succeed(duplicate.event_id, duplicate=True)
            else:
                waiting.fail(key_reused())
        self._hand_on(fresh)

    def _hand_on(self, committed: Sequence[Waiting]) -> None:
        events = [waiting.new.event for waiting in committed]
        self._metrics.accepted(events)
        self._dispatch(events, [waiting.since for waiting in committed])

    def _put_back(self, batch: list[Waiting], *, doubtful: bool) -> None:
        """Undecided ones wait again, with the same ids; the sweeper answers those that are past their deadline."""
        for waiting in reversed(batch):
            if not waiting.decided:
                waiting.doubtful |= doubtful
                self._waiting.appendleft(waiting)
                self._waiting_bytes += len(waiting.new.event.payload)

    async def _return(self) -> None:
        """Wait for the store. What was answered 503 but turns out to be committed is delivered all the same."""
        doubts = sorted(self._in_doubt, key=lambda waiting: waiting.new.event.id)
        try:
            kept = await self._log.existing([waiting.new.event.id for waiting in doubts])
        except Unavailable:
            await asyncio.sleep(RECONNECT_S)
            return
        if doubts:
            log.info("intake_doubt_resolved", committed=len(kept), dropped=len(doubts) - len(kept))
        self._in_doubt = self._in_doubt[len(doubts) :]
        self._hand_on([waiting for waiting in doubts if waiting.new.event.id in kept])
        self._store_is_away = False

    async def _sweep(self) -> None:
        """Answer what has waited past its deadline, and forget it, unless it may have been committed."""
        while True:
            await asyncio.sleep(SWEEP_S)
            late = self._clock.monotonic_s() - self._deadline_s
            while self._waiting and self._waiting[0].since <= late:
                waiting = self._waiting.popleft()
                self._waiting_bytes -= len(waiting.new.event.payload)
                waiting.fail(Unavailable("the event could not be committed in time; push it again"))
                if waiting.doubtful:
                    self._in_doubt.append(waiting)

    def _fail_all(self, error: Exception) -> None:
        while self._waiting:
            self._waiting.popleft().fail(error)
        self._waiting_bytes = 0


def key_reused() -> Problem:
    return Problem(
        422,
        "idempotency-key-reused",
        "this idempotency key was used before with another type or other bytes; use a new key for a new event",
        errors=[FieldError("/id", "used before with other bytes")],
    )
