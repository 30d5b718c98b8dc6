"""The log on PostgreSQL: two insert-only tables and the small one of what is unsettled.

Invariant: every statement that writes carries this process's fence (owner and epoch), evaluated in the same
snapshot as the write. A take-over first raises the epoch and then ends the earlier owner's connections, so
what that one still sends meets a closed fence.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import asyncpg
import orjson

from gateway.errors import Fenced, Unavailable
from gateway.ids import ZERO_ID
from gateway.log import AttemptRecord, BadRow, DeliveryRow, Due, Duplicate, NewEvent, OutcomeUnknown, Page, Unsettled
from gateway.model import DeliveryState, Event
from gateway.store import statements as sql
from gateway.store.session import Connect, Session

IDEMPOTENCY_TTL = timedelta(days=3)
READ_TIMEOUT_S = 30.0
DOUBT_TIMEOUT_S = 3.0
"""For looking up what became of a write: the intake is shut until that is known, so it waits for no long read."""


@dataclass(frozen=True, slots=True)
class Fence:
    """Who writes, and in which epoch of the ownership of the shards."""

    owner: str
    epoch: int


class Reader:
    """A connection that reads, for callers who take turns."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self._turn = asyncio.Lock()

    async def fetch(self, statement: str, *args: Any) -> list[asyncpg.Record]:
        async with self._turn:
            try:
                return await self._session.fetch(statement, *args)
            except OutcomeUnknown as error:  # a read leaves nothing in doubt
                raise Unavailable(str(error)) from error

    async def close(self) -> None:
        await self._session.close()


class PostgresLog:
    """Implements `gateway.log.EventLog`. Appending, recording, reading and what is in doubt have a connection each."""

    def __init__(self, dsn: str, *, fence: Fence, write_timeout_s: float, connect: Connect = asyncpg.connect) -> None:
        name = f"gateway {fence.owner} log"
        self._fence = fence
        self._appender = Session(dsn, name=name, timeout_s=write_timeout_s, connect=connect)
        self._recorder = Session(dsn, name=name, timeout_s=write_timeout_s, connect=connect)
        self._reader = Reader(Session(dsn, name=name, timeout_s=READ_TIMEOUT_S, connect=connect))
        self._doubts = Reader(Session(dsn, name=name, timeout_s=DOUBT_TIMEOUT_S, connect=connect))
        self._record_is_undecided = False

    async def append(self, batch: Sequence[NewEvent]) -> list[Duplicate | None]:
        if all(new.key is None for new in batch):
            return await self._append_plain(batch)
        return await self._append_keyed(batch)

    async def _append_plain(self, batch: Sequence[NewEvent]) -> list[Duplicate | None]:
        rows = await self._appender.fetch(sql.APPEND, *self._guard, *_event_columns(batch))
        if rows[0]["written"] < len(batch):
            await self._check_fence()  # else they were there: a repeated append
        return [None] * len(batch)

    async def _append_keyed(self, batch: Sequence[NewEvent]) -> list[Duplicate | None]:
        rows = await self._appender.fetch(
            sql.APPEND_KEYED,
            *self._guard,
            *_event_columns(batch),
            [new.key for new in batch],
            [new.digest for new in batch],
            datetime.now(UTC) + IDEMPOTENCY_TTL,
        )
        written = {str(row["id"]) for row in rows}
        if len(written) == len(batch):
            return [None] * len(batch)
        await self._check_fence()
        keyed = [new for new in batch if new.key is not None and new.event.id not in written]
        first = await self._first_uses(keyed)
        return [None if new.event.id in written else _duplicate(new, first) for new in batch]

    async def _first_uses(self, keyed: Sequence[NewEvent]) -> dict[tuple[int, str | None], tuple[str, bytes]]:
        rows = await self._ask(sql.FIRST_USES, [new.event.tenant_id for new in keyed], [new.key for new in keyed])
        return {(row["tenant_id"], row["key"]): (str(row["event_id"]), row["digest"]) for row in rows}

    async def existing(self, event_ids: Sequence[str]) -> set[str]:
        await self._end_backend(self._appender)
        rows = await self._doubts.fetch(sql.EXISTING, list(event_ids))
        return {str(row["id"]) for row in rows}

    async def _end_backend(self, session: Session) -> None:
        """Make sure that what this session sent last is decided: its server process is gone."""
        session.drop()
        while session.pid is not None:
            if not await self._doubts.fetch(sql.END_BACKEND, session.pid):
                session.pid = None  # only now: where the question fails, it is asked again
                return
            await asyncio.sleep(0.02)

    async def record(
        self,
        attempts: Sequence[AttemptRecord],
        *,
        changed: Sequence[DeliveryRow] = (),
        removed: Sequence[tuple[str, str]] = (),
    ) -> None:
        columns = _attempt_columns(attempts)
        if not changed and not removed:
            await self._record(sql.RECORD, *columns)
            return
        rows = await self._record(
            sql.RECORD_AND_CHANGE, *self._guard, *columns, *_delivery_columns(changed), *_pair_columns(removed)
        )
        if not rows[0]["held"]:
            raise Fenced("another process owns the shards")

    async def _record(self, statement: str, *args: Any) -> list[asyncpg.Record]:
        """One that was left undecided is ended before the next: committed late, it would undo what came after it."""
        if self._record_is_undecided:
            await self._end_backend(self._recorder)
        self._record_is_undecided = True
        try:
            rows = await self._recorder.fetch(statement, *args)
        except BadRow:
            self._record_is_undecided = False
            raise
        self._record_is_undecided = False
        return rows

    async def read_unsettled(self, after_id: str, limit: int) -> list[Unsettled]:
        rows = await self._read_owned(sql.READ_UNSETTLED, after_id, limit)
        return [Unsettled(_event(row), tuple(map(str, row["open_ids"]))) for row in rows]

    async def load_due(
        self, pages: Sequence[Page], calls: Sequence[tuple[str, str]], now: datetime
    ) -> tuple[list[list[Due]], list[Due]]:
        rows = await self._read_owned(
            sql.LOAD_DUE, *_page_columns(pages), now, [call[0] for call in calls], [call[1] for call in calls]
        )
        found: list[list[Due]] = [[] for _ in range(len(pages) + 1)]
        for row in rows:
            found[row["number"]].append(_due(row))
        return found[1:], found[0]

    async def read_events(self, event_ids: Sequence[str]) -> dict[str, Event]:
        return {str(row["id"]): _event(row) for row in await self._read(sql.READ_EVENTS, list(event_ids))}

    async def remaining(self, webhook_id: str, limit: int) -> list[tuple[str, str | None]]:
        rows = await self._read(sql.REMAINING, webhook_id, limit)
        return [(str(row["event_id"]), row["call_key"]) for row in rows]

    async def with_backlog(self, webhook_ids: Sequence[str]) -> set[str]:
        rows = await self._read(sql.WITH_BACKLOG, list(webhook_ids))
        return {str(row["webhook_id"]) for row in rows}

    async def last_event_id(self) -> str:
        """The greatest id in the log, above which new ones must be made."""
        rows = await self._read(sql.LAST_EVENT_ID)
        return str(rows[0]["id"]) if rows else ZERO_ID

    async def close(self) -> None:
        for each in (self._appender, self._recorder, self._reader, self._doubts):
            await each.close()

    @property
    def _guard(self) -> tuple[str, int]:
        return self._fence.owner, self._fence.epoch

    async def _check_fence(self) -> None:
        if not await self._ask(sql.FENCE_HOLDS, *self._guard):
            raise Fenced("another process owns the shards")

    async def _ask(self, statement: str, *args: Any) -> list[asyncpg.Record]:
        """A question about what was just written: without an answer to it that is not known, and may be committed."""
        try:
            return await self._appender.fetch(statement, *args)
        except Unavailable as error:
            raise OutcomeUnknown(str(error)) from error

    async def _read_owned(self, statement: str, *args: Any) -> list[asyncpg.Record]:
        """Read what is to be delivered: by nobody but the owner. One that is the owner now was it then."""
        rows = await self._read(statement, *args)
        if rows and not await self._read(sql.FENCE_HOLDS, *self._guard):
            raise Fenced("another process owns the shards")
        return rows

    async def _read(self, statement: str, *args: Any) -> list[asyncpg.Record]:
        return await self._reader.fetch(statement, *args)


def _duplicate(new: NewEvent, first: dict[tuple[int, str | None], tuple[str, bytes]]) -> Duplicate | None:
    used = first.get((new.event.tenant_id, new.key))
    if used is None or used[0] == new.event.id:
        return None  # without a key, or its own key: it was there because this append is a repeated one
    return Duplicate(event_id=used[0], same=used[1] == new.digest)


def _event_columns(batch: Sequence[NewEvent]) -> tuple[list[Any], ...]:
    events = [new.event for new in batch]
    return (
        [event.id for event in events],
        [new.shard for new in batch],
        [event.tenant_id for event in events],
        [event.type for event in events],
        [event.call_key for event in events],
        [event.account_id for event in events],
        [_array(event.webhook_ids) for event in events],
        [event.occurred_at for event in events],
        [event.payload for event in events],
    )


def _array(ids: Sequence[str]) -> str:
    """As text, to be cast: an array of arrays does not unnest."""
    return "{" + ",".join(ids) + "}"


def _attempt_columns(attempts: Sequence[AttemptRecord]) -> tuple[list[Any], ...]:
    return (
        [attempt.id for attempt in attempts],
        [attempt.event_id for attempt in attempts],
        [attempt.webhook_id for attempt in attempts],
        [attempt.tenant_id for attempt in attempts],
        [attempt.event_type for attempt in attempts],
        [attempt.number for attempt in attempts],
        [attempt.test for attempt in attempts],
        [attempt.ok for attempt in attempts],
        [attempt.status for attempt in attempts],
        [attempt.error for attempt in attempts],
        [attempt.detail for attempt in attempts],
        [attempt.duration_us for attempt in attempts],
        [attempt.method for attempt in attempts],
        [attempt.url for attempt in attempts],
        [attempt.request_headers for attempt in attempts],
        [attempt.body_key for attempt in attempts],
        [attempt.response_headers for attempt in attempts],
        [attempt.response_body for attempt in attempts],
        [attempt.truncated for attempt in attempts],
        [_phases_us(attempt.phases_ms) for attempt in attempts],
    )


def _phases_us(phases_ms: Sequence[tuple[str, float]]) -> str | None:
    """As JSON, in whole microseconds: these are written and stored cheaply."""
    return orjson.dumps({name: int(ms * 1000) for name, ms in phases_ms}).decode() if phases_ms else None


def _delivery_columns(rows: Sequence[DeliveryRow]) -> tuple[list[Any], ...]:
    return (
        [row.webhook_id for row in rows],
        [row.event_id for row in rows],
        [row.shard for row in rows],
        [row.call_key for row in rows],
        [row.state for row in rows],
        [row.attempts for row in rows],
        [row.tries for row in rows],
        [row.next_at for row in rows],
        [row.wait_until for row in rows],
        [row.replay_id for row in rows],
    )


def _pair_columns(pairs: Sequence[tuple[str, str]]) -> tuple[list[str], list[str]]:
    return [webhook_id for webhook_id, _ in pairs], [event_id for _, event_id in pairs]


def _event(row: asyncpg.Record) -> Event:
    return Event(
        id=str(row["id"]),
        tenant_id=row["tenant_id"],
        type=row["type"],
        call_key=row["call_key"],
        account_id=row["account_id"],
        payload=row["payload"],
        webhook_ids=tuple(map(str, row["webhook_ids"])),
        occurred_at=row["occurred_at"],
    )


def _page_columns(pages: Sequence[Page]) -> tuple[list[Any], ...]:
    return (
        [page.webhook_id for page in pages],
        [page.state for page in pages],
        [page.after[0] for page in pages],
        [page.after[1] for page in pages],
        [page.rows for page in pages],
    )


def _due(row: asyncpg.Record) -> Due:
    stored = DeliveryRow(
        webhook_id=str(row["webhook_id"]),
        event_id=str(row["event_id"]),
        shard=row["shard"],
        call_key=row["call_key"],
        state=DeliveryState(row["state"]),
        attempts=row["attempts"],
        tries=row["tries"],
        next_at=row["next_at"],
        wait_until=row["wait_until"],
        replay_id=None if row["replay_id"] is None else str(row["replay_id"]),
    )
    return Due(stored, tuple(map(str, row["earlier"] or ())))
