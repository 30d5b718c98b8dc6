"""The log of attempts as people read it: filtered, newest first, a page at a time; and one attempt whole.

Invariant: a page costs what it shows, not what the log holds. Every list walks an index whose order is the id's,
which is the order of time, or starts from the few events that a call or an account has.
"""

from __future__ import annotations

from dataclasses import dataclass

import asyncpg
import msgspec
import orjson

from gateway.log import AttemptRecord
from gateway.model import PHASES
from gateway.store.conditions import Conditions
from gateway.store.reading import Connection, Database

FEW_EVENTS = 2_000
"""An account with no more events than this is read through them; one with more is dense enough to be walked."""

WALKS = (1_000, 8_000)
"""How many attempts `search` looks at where no index leads to just those wanted: few first, then as many as one page
may cost."""
BULK_TYPES = frozenset({"call.created", "call.ended", "call.saved"})
"""Event types that make up most of the log; the others have an index of their own."""

SUMMARY_COLUMNS = """a.id::text, a.event_id::text, a.webhook_id::text, a.event_type, a.number, a.test, a.ok, a.status,
       a.error, a.detail, a.duration_us, a.url"""

# One attempt with everything, and the payload that was sent; none where it was a test.
ONE = """
SELECT a.*, e.payload
FROM attempts AS a LEFT JOIN events AS e ON e.id = a.event_id
WHERE a.id = $1 AND ($2::integer IS NULL OR a.tenant_id = $2)
"""

# Some events of an account, in no order: all of them, if they are fewer than the limit.
ACCOUNT_EVENTS = """
SELECT id FROM events WHERE account_id = $1 AND ($2::integer IS NULL OR tenant_id = $2) LIMIT $3
"""


class AttemptSummary(msgspec.Struct, frozen=True):
    """One line of the log. `id` is a UUIDv7 of its start; `url` is masked."""

    id: str
    event_id: str
    webhook_id: str
    event_type: str
    number: int
    test: bool
    ok: bool
    status: int | None
    error: str | None
    detail: str | None
    duration_us: int
    url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AttemptFilter:
    """What to list; None is no limit. Ids bound the time: `from_id` is included, `before_id` is not.

    `statuses` are the first and the last that match.
    """

    tenant_id: int | None = None
    from_id: str | None = None
    before_id: str | None = None
    event_type: str | None = None
    event_id: str | None = None
    webhook_id: str | None = None
    ok: bool | None = None
    statuses: tuple[int, int] | None = None
    call_key: str | None = None
    account_id: str | None = None


@dataclass(frozen=True, slots=True)
class AttemptInFull:
    """`payload` is None where the attempt was a test, which sends a sample of no stored event."""

    record: AttemptRecord
    payload: bytes | None


@dataclass(frozen=True, slots=True)
class Found:
    """A page of a search. What comes next lies below `next_id`; None at the end of the log.

    With `is_cut` the page is not full: nothing more was found down to `next_id`, and further down nobody has looked.
    """

    attempts: list[AttemptSummary]
    next_id: str | None
    is_cut: bool


class AttemptLog:
    """Reads `attempts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def page(self, wanted: AttemptFilter, limit: int) -> list[AttemptSummary]:
        """The newest `limit` attempts that match."""
        async with self._database.reading() as connection:
            query = _Query()
            query.add_filter(wanted)
            if wanted.account_id is not None:
                await self._add_account(connection, query, wanted)
            rows = await connection.fetch(query.sql(limit), *query.args)
        return [summary(row) for row in rows]

    async def search(self, wanted: AttemptFilter, limit: int) -> Found:
        """Like `page`, but whatever is asked, it costs no more than walking the last of `WALKS`: see `Found`."""
        rows: list[asyncpg.Record] = []
        floor_id = None
        async with self._database.reading() as connection:
            query = _Query()
            query.add_filter(wanted)
            is_walk = wanted.account_id is not None and await self._add_account(connection, query, wanted)
            lead, others = _lead(wanted)
            for walk in WALKS if is_walk or others else WALKS[:1]:
                if is_walk or others:
                    floor_id = await connection.fetchval(lead.floor_sql(walk), *lead.args)
                rows = await self._above(connection, query, floor_id, limit + 1)
                if len(rows) > limit or floor_id is None:
                    break
        attempts = [summary(row) for row in rows[:limit]]
        if len(rows) > limit:
            return Found(attempts, attempts[-1].id, is_cut=False)
        return Found(attempts, None if floor_id is None else str(floor_id), is_cut=floor_id is not None)

    async def _above(self, connection: Connection, query: _Query, floor_id: object, limit: int) -> list[asyncpg.Record]:
        bounded = query.copy()
        if floor_id is not None:
            bounded.add("a.id >= {}::uuid", floor_id)
        return await connection.fetch(bounded.sql(limit), *bounded.args)

    async def one(self, attempt_id: str, tenant_id: int | None) -> AttemptInFull | None:
        async with self._database.reading() as connection:
            row = await connection.fetchrow(ONE, attempt_id, tenant_id)
        if row is None:
            return None
        columns = {name: row[name] for name in AttemptRecord.__struct_fields__ if name in row}  # phases have another
        ids = {name: str(row[name]) for name in ("id", "event_id", "webhook_id")}
        record = AttemptRecord(**(columns | ids), phases_ms=_phases_ms(row["phases_us"]))
        return AttemptInFull(record, row["payload"])

    async def _add_account(self, connection: Connection, query: _Query, wanted: AttemptFilter) -> bool:
        """Whether attempts have to be looked at one by one, for the account has too many events to start from."""
        rows = await connection.fetch(ACCOUNT_EVENTS, wanted.account_id, wanted.tenant_id, FEW_EVENTS + 1)
        is_dense = len(rows) > FEW_EVENTS
        if is_dense:
            query.add("(SELECT e.account_id FROM events AS e WHERE e.id = a.event_id) = {}", wanted.account_id)
        else:
            query.add("a.event_id = ANY({}::uuid[])", [row["id"] for row in rows])
        return is_dense


class _Query(Conditions):
    """Which attempts, called `a`."""

    def add_filter(self, wanted: AttemptFilter) -> None:
        simple = {
            "a.tenant_id = {}": wanted.tenant_id,
            "a.id >= {}::uuid": wanted.from_id,
            "a.id < {}::uuid": wanted.before_id,
            "a.event_type = {}": wanted.event_type,
            "a.event_id = {}::uuid": wanted.event_id,
            "a.webhook_id = {}::uuid": wanted.webhook_id,
        }
        for condition, value in simple.items():
            if value is not None:
                self.add(condition, value)
        if wanted.ok is not None:
            self.add("a.ok" if wanted.ok else "NOT a.ok")
        if wanted.statuses is not None:
            first, last = wanted.statuses
            self.add("a.status BETWEEN {} AND {}", first, last)
            if first >= 300:  # implied; said so that the index of the failures serves
                self.add("NOT a.ok")
        if wanted.call_key is not None:
            # An array, for the few events of a call: a join might walk the whole log to find them.
            self.add(
                "a.event_id = ANY(ARRAY(SELECT e.id FROM events AS e WHERE e.call_key = {}"
                " AND ({}::integer IS NULL OR e.tenant_id = {})))",
                wanted.call_key,
                wanted.tenant_id,
                wanted.tenant_id,
            )

    def sql(self, limit: int) -> str:
        return f"SELECT {SUMMARY_COLUMNS} FROM attempts AS a {self.where} ORDER BY a.id DESC LIMIT {limit:d}"  # noqa: S608 (no input in it)

    def floor_sql(self, walk: int) -> str:
        """The id of the last of the `walk` newest; no row where there are fewer."""
        return f"SELECT a.id FROM attempts AS a {self.where} ORDER BY a.id DESC OFFSET {walk - 1:d} LIMIT 1"  # noqa: S608 (no input in it)


def _lead(wanted: AttemptFilter) -> tuple[_Query, bool]:
    """The part of a filter that one index answers in the order of the ids, and whether that leaves others to check."""
    if wanted.event_id is not None or wanted.call_key is not None:
        return _Query(), False  # a handful of rows, whatever else is asked
    failed = wanted.ok is False or (wanted.statuses is not None and wanted.statuses[0] >= 300)
    has_index = wanted.event_type is not None and wanted.event_type not in BULK_TYPES
    query = _Query()
    query.add_filter(
        AttemptFilter(
            from_id=wanted.from_id,
            before_id=wanted.before_id,
            event_type=wanted.event_type if has_index else None,
            webhook_id=None if has_index else wanted.webhook_id,
            ok=False if failed and not has_index else None,
        )
    )
    others = (
        wanted.tenant_id is not None
        or (wanted.event_type is not None and not has_index)
        or (wanted.webhook_id is not None and has_index)
        or (failed and has_index)
        or wanted.ok is True
        or wanted.statuses is not None
    )
    return query, others


def _phases_ms(stored: str | None) -> tuple[tuple[str, float], ...]:
    """In the order of `PHASES`, which jsonb does not keep."""
    phases_us = {} if stored is None else orjson.loads(stored)
    return tuple((name, phases_us[name] / 1000) for name in PHASES if name in phases_us)


def summary(row: asyncpg.Record) -> AttemptSummary:
    """A row that was selected by `SUMMARY_COLUMNS`."""
    return AttemptSummary(*(row[name] for name in AttemptSummary.__struct_fields__))
