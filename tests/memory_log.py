"""The log in memory: what `gateway.log.EventLog` promises, without a database, and with faults on request.

A simulated PostgreSQL for tests of the loops. `tests/contract/test_log.py` holds it to the same suite as the real
one. Invariant: an operation takes effect at one moment, and what a test makes it wait for is before or after it.
"""

from __future__ import annotations

import asyncio
from collections import defaultdict, deque
from collections.abc import Sequence
from datetime import datetime

import msgspec

from gateway.errors import Fenced
from gateway.ids import ZERO_ID
from gateway.log import (
    EARLIER_MOST,
    AttemptRecord,
    BadRow,
    DeliveryRow,
    Due,
    Duplicate,
    NewEvent,
    Page,
    Unsettled,
)
from gateway.model import DeliveryState, Event


class Fault(msgspec.Struct, frozen=True):
    """How a call fails: with `error`, after it took effect (`applied`) or instead; without one it does not."""

    error: Exception | None
    applied: bool = False


class MemoryLog:
    """`faults` are used up call by call. An operation in `held` waits: a write before, a read after its moment."""

    def __init__(self) -> None:
        self.events: dict[str, Event] = {}
        self.keys: dict[tuple[int, str], tuple[str, bytes | None]] = {}
        self.attempts: dict[str, AttemptRecord] = {}
        self.rows: dict[tuple[str, str], DeliveryRow] = {}
        self.calls: defaultdict[str, int] = defaultdict(int)
        self.faults: defaultdict[str, deque[Fault]] = defaultdict(deque)
        self.held: dict[str, asyncio.Event] = {}
        self.latency_s = 0.0
        self.is_fenced = False

    def hold(self, operation: str) -> asyncio.Event:
        """Every later call of `operation` waits until the event is set."""
        self.held[operation] = asyncio.Event()
        return self.held[operation]

    async def append(self, batch: Sequence[NewEvent]) -> list[Duplicate | None]:
        fault = await self._begin("append")
        if any(b"bad row" in new.event.payload for new in batch):
            raise BadRow("a row is bad")
        answers = [self._append(new) for new in batch]
        self._end(fault)
        return answers

    def _append(self, new: NewEvent) -> Duplicate | None:
        event = new.event
        if new.key is not None:
            used, digest = self.keys.setdefault((event.tenant_id, new.key), (event.id, new.digest))
            if used != event.id:
                return Duplicate(used, same=digest == new.digest)
        self.events.setdefault(event.id, event)
        return None

    async def existing(self, event_ids: Sequence[str]) -> set[str]:
        fault = await self._begin("existing")
        found = {event_id for event_id in event_ids if event_id in self.events}
        self._end(fault)
        return found

    async def record(
        self,
        attempts: Sequence[AttemptRecord],
        *,
        changed: Sequence[DeliveryRow] = (),
        removed: Sequence[tuple[str, str]] = (),
    ) -> None:
        fault = await self._begin("record")
        if any(attempt.detail is not None and "\0" in attempt.detail for attempt in attempts):
            raise BadRow("a row is bad")
        for attempt in attempts:
            self.attempts.setdefault(attempt.id, attempt)
        for row in changed:
            before = self.rows.get((row.webhook_id, row.event_id))
            if before is not None:
                row = msgspec.structs.replace(
                    row, wait_until=before.wait_until, replay_id=before.replay_id, call_key=before.call_key
                )
            self.rows[row.webhook_id, row.event_id] = row
        for key in removed:
            self.rows.pop(key, None)
        self._end(fault)

    async def read_unsettled(self, after_id: str, limit: int) -> list[Unsettled]:
        fault = await self._begin("read_unsettled")
        settled = {(each.webhook_id, each.event_id) for each in self.attempts.values() if each.ok and not each.test}
        settled |= self.rows.keys()
        page = sorted(event_id for event_id in self.events if event_id > after_id)[:limit]
        found = [
            Unsettled(event, tuple(each for each in event.webhook_ids if (each, event.id) not in settled))
            for event in (self.events[event_id] for event_id in page)
        ]
        self._end(fault)
        return found

    async def load_due(
        self, pages: Sequence[Page], calls: Sequence[tuple[str, str]], now: datetime
    ) -> tuple[list[list[Due]], list[Due]]:
        fault = await self._begin("load_due", reads=True)
        found = [[self._due(row) for row in self._page(page, now)] for page in pages]
        first = [row for call in calls for row in self._of_call(*call)[:EARLIER_MOST]]
        of_calls = [self._due(row) for row in first if row.next_at <= now]
        await self._held("load_due")
        self._end(fault)
        return found, of_calls

    def _page(self, page: Page, now: datetime) -> list[DeliveryRow]:
        rows = sorted((row.next_at, row.event_id, row) for row in self._open_rows(page.webhook_id))
        return [
            row
            for next_at, event_id, row in rows
            if row.state is page.state and next_at <= now and (next_at, event_id) > page.after
        ][: page.rows]

    def _of_call(self, webhook_id: str, call_key: str) -> list[DeliveryRow]:
        rows = (row for row in self._open_rows(webhook_id) if row.call_key == call_key)
        return sorted(rows, key=lambda row: row.event_id)

    def _due(self, row: DeliveryRow) -> Due:
        same = [] if row.call_key is None else self._of_call(row.webhook_id, row.call_key)
        return Due(row, tuple(each.event_id for each in same if each.event_id < row.event_id)[:EARLIER_MOST])

    async def read_events(self, event_ids: Sequence[str]) -> dict[str, Event]:
        return {event_id: self.events[event_id] for event_id in event_ids if event_id in self.events}

    def _open_rows(self, webhook_id: str) -> list[DeliveryRow]:
        rows = self.rows.values()
        return [row for row in rows if row.webhook_id == webhook_id and row.state is not DeliveryState.FAILED]

    async def remaining(self, webhook_id: str, limit: int) -> list[tuple[str, str | None]]:
        fault = await self._begin("remaining", reads=True)
        found = [(row.event_id, row.call_key) for row in self._open_rows(webhook_id)][:limit]
        await self._held("remaining")
        self._end(fault)
        return found

    async def with_backlog(self, webhook_ids: Sequence[str]) -> set[str]:
        fault = await self._begin("with_backlog")
        found = {webhook_id for webhook_id in webhook_ids if self._open_rows(webhook_id)}
        self._end(fault)
        return found

    async def last_event_id(self) -> str:
        return max(self.events, default=ZERO_ID)

    async def _begin(self, operation: str, *, reads: bool = False) -> Fault | None:
        self.calls[operation] += 1
        await asyncio.sleep(self.latency_s)
        if not reads:
            await self._held(operation)
        if self.is_fenced and operation in ("append", "record", "read_unsettled", "load_due"):
            raise Fenced("another process owns the shards")
        fault = self.faults[operation].popleft() if self.faults[operation] else None
        if fault is not None and fault.error is not None and not fault.applied:
            raise fault.error
        return fault

    async def _held(self, operation: str) -> None:
        if operation in self.held:
            await self.held[operation].wait()

    def _end(self, fault: Fault | None) -> None:
        if fault is not None and fault.error is not None:
            raise fault.error
