"""The recorder: brings attempts, and what they did to deliveries, to the log in natural batches.

Invariant: a delivery counts as settled only after the commit that settles it; entries are committed in the
order in which they were added, and kept until they are.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter

import msgspec
import structlog

from gateway.delivery.delivery import Delivery
from gateway.delivery.gate import Gate
from gateway.delivery.limits import Limits
from gateway.errors import Fenced, Unavailable
from gateway.log import AttemptRecord, BadRow, DeliveryRow, EventLog
from gateway.telemetry.metrics import Metrics

BATCH_ENTRIES = 1_000
PAUSE_S = 0.1
GATHER_S = 0.003
"""How long a first entry waits for company: nobody waits for the log, and a commit costs nearly the same for ten.

At 400 events a second it saves a fifth of the gateway's CPU, at full speed a tenth of PostgreSQL's."""
GATHERED_ENTRIES = 100
"""With so many waiting the next batch goes at once."""

log = structlog.get_logger(__name__)


class Entry(msgspec.Struct, frozen=True):
    """What is to be committed of one delivery. `recorded` is called after the commit."""

    delivery: Delivery | None
    attempt: AttemptRecord | None = None
    row: DeliveryRow | None = None
    removed: tuple[str, str] | None = None
    recorded: Callable[[Delivery], None] | None = None


class Recorder:
    """Owns the entries that are not committed yet. One loop, `run`, commits them."""

    def __init__(self, log: EventLog, *, gate: Gate, metrics: Metrics, limits: Limits | None = None) -> None:
        self._log = log
        self._full_entries = (limits or Limits()).uncommitted_entries
        self._gate = gate
        self._metrics = metrics
        self._entries: deque[Entry] = deque()
        self._arrived = asyncio.Event()
        self._added = 0
        self._committed = 0
        self._flushed = asyncio.Condition()
        self._has_ended = False

    @property
    def backlog(self) -> int:
        """How many entries are not committed yet."""
        return self._added - self._committed

    def add(self, entry: Entry) -> None:
        self._entries.append(entry)
        self._added += 1
        self._arrived.set()
        if len(self._entries) > self._full_entries:
            self._gate.shut("recorder")

    async def flushed(self) -> None:
        """Returns when everything that was added before the call is committed; `Unavailable` where it never will be."""
        added = self._added
        async with self._flushed:
            await self._flushed.wait_for(lambda: self._committed >= added or self._has_ended)
        if self._committed < added:
            raise Unavailable("the recorder has ended")

    async def run(self) -> None:
        """Commit batch after batch until cancelled. A lost fence shuts the gate and ends it with `Fenced`."""
        try:
            await self._run()
        except Fenced:
            self._gate.shut("recorder")
            raise
        finally:
            self._has_ended = True
            async with self._flushed:
                self._flushed.notify_all()

    async def _run(self) -> None:
        while True:
            if not self._entries:
                self._arrived.clear()
                await self._arrived.wait()
            if len(self._entries) < GATHERED_ENTRIES:
                await asyncio.sleep(GATHER_S)
            batch = [self._entries.popleft() for _ in range(min(len(self._entries), BATCH_ENTRIES))]
            before = self._committed
            try:
                await self._commit(batch)
            except Unavailable as error:
                log.warning("recorder_commit_failed", error=str(error), entries=len(batch), waiting=len(self._entries))
                left = batch[self._committed - before :]  # a batch that was split may have been committed in part
                self._entries.extendleft(reversed(left))  # again, in the same order, with the same ids
                await asyncio.sleep(PAUSE_S)
                continue
            async with self._flushed:
                self._flushed.notify_all()
            if len(self._entries) <= self._full_entries // 2:
                self._gate.open("recorder")

    async def _commit(self, batch: Sequence[Entry]) -> None:
        began = perf_counter()
        attempts = [entry.attempt for entry in batch if entry.attempt is not None]
        changed, removed = _last_words(batch)
        try:
            await self._log.record(attempts, changed=changed, removed=removed)
        except BadRow as error:
            if len(batch) > 1:
                middle = len(batch) // 2
                await self._commit(batch[:middle])
                await self._commit(batch[middle:])
                return
            log.error("attempt_not_loggable", error=str(error), event_id=_event_id(batch[0]))
            await self._log.record([], changed=changed, removed=removed)
        self._metrics.recorder_commit_seconds.observe(perf_counter() - began)
        self._metrics.recorder_batch_attempts.observe(len(attempts))
        self._committed += len(batch)
        for entry in batch:
            _settle(entry)


def _last_words(batch: Sequence[Entry]) -> tuple[list[DeliveryRow], list[tuple[str, str]]]:
    """What a batch does to `deliveries`, where it says several things of one row: the last."""
    words: dict[tuple[str, str], DeliveryRow | None] = {}
    for entry in batch:
        if entry.row is not None:
            words[entry.row.webhook_id, entry.row.event_id] = entry.row
        elif entry.removed is not None:
            words[entry.removed] = None
    changed = [row for row in words.values() if row is not None]
    return changed, [key for key, row in words.items() if row is None]


def _settle(entry: Entry) -> None:
    delivery = entry.delivery
    if delivery is None:
        return
    if delivery.mark is not None:
        delivery.mark.settle()
        delivery.mark = None
    if entry.recorded is not None:
        entry.recorded(delivery)


def _event_id(entry: Entry) -> str | None:
    return None if entry.attempt is None else entry.attempt.event_id
