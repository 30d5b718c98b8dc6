"""Replays in PostgreSQL: which deliveries are to be made once more, and how far that has come.

A replay puts rows into `deliveries`, where the lanes find them like any other; the event keeps its id. Invariant: the
rows of a step and the cursor behind them are committed together, by the owner of the shards alone, so a replay that is
interrupted goes on where it was, and puts no row twice.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from datetime import datetime

import asyncpg

from gateway.errors import Problem
from gateway.store import audit
from gateway.store import replay_statements as sql
from gateway.store.audit import AuditEntry
from gateway.store.reading import Connection, Database
from gateway.store.replay_range import ReplayRange, count_sql, edge_sql, step_sql

COUNT_LIMIT_S = 8.0
"""What takes longer to count is replayed uncounted."""


@dataclass(frozen=True, slots=True)
class Replay:
    """`what` is None for one event. `total` None: not counted. `done` is how many deliveries have been tried to their
    end, well or not, or left alone; `skipped` how many of these were left alone, being on their way already.
    """

    id: str
    tenant_id: int
    webhook_id: str | None
    event_id: str | None
    what: ReplayRange | None
    state: str
    total: int | None
    done: int
    skipped: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Part:
    """What is left of a running replay with one webhook."""

    replay_id: str
    webhook_id: str


@dataclass(frozen=True, slots=True)
class Advance:
    """What one step did. Neither `moved` nor `finished`: enough is under way."""

    put: int
    moved: bool
    finished: bool


class ReplayStore:
    """Owns the tables `replays` and `replay_parts`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start_event(
        self, replay_id: str, *, event_id: str, webhook_id: str | None, tenant_id: int | None, entry: AuditEntry
    ) -> list[str] | None:
        """Put one event's deliveries, to the webhook named or to all that it matched; which those are.

        None where there is no such event. Empty, and nothing put, where no such webhook exists (any more).
        """
        async with self._database.writing() as connection:
            event = await connection.fetchrow(sql.FIND_EVENT, event_id, tenant_id)
            if event is None:
                return None
            asked = event["webhook_ids"] if webhook_id is None else [webhook_id]
            webhook_ids = [row["id"] for row in await connection.fetch(sql.WEBHOOKS, asked, event["tenant_id"])]
            if not webhook_ids:
                return []
            await connection.execute(
                sql.START_EVENT, replay_id, event["tenant_id"], webhook_id, event_id, len(webhook_ids)
            )
            for each in webhook_ids:
                await _put(connection, replay_id, sql.PUT_EVENT, event_id, each, replay_id)
            await connection.execute(sql.FINISH, replay_id)
            await audit.insert(connection, replace(entry, tenant_id=event["tenant_id"]))
        return webhook_ids

    async def count(self, what: ReplayRange) -> int | None:
        """How many deliveries it is about; None where counting them takes too long."""
        try:
            async with asyncio.timeout(COUNT_LIMIT_S), self._database.reading() as connection:
                total = 0
                for webhook_id in await _webhooks(connection, what):
                    statement, conditions = count_sql(what, webhook_id)
                    total += await connection.fetchval(statement, *conditions.args)
                return total
        except TimeoutError:
            return None
        except Problem as problem:
            if problem.type != "too-wide":
                raise
            return None

    async def start_range(self, replay_id: str, what: ReplayRange, *, total: int | None, entry: AuditEntry) -> None:
        """Note what is to be gone through, and leave that to `advance`. What comes after this is not part of it."""
        first, last = what.statuses or (None, None)
        async with self._database.writing() as connection:
            await connection.execute(
                sql.START_RANGE,
                replay_id,
                what.tenant_id,
                what.webhook_id,
                what.from_id,
                min(what.before_id, replay_id),
                what.only_failed,
                what.period_of,
                what.event_type,
                what.ok,
                first,
                last,
                what.call_key,
                what.account_id,
                total,
            )
            await connection.execute(sql.START_PARTS, replay_id, await _webhooks(connection, what))
            await connection.execute(sql.FINISH, replay_id)  # at once, where the tenant has no webhook
            await audit.insert(connection, entry)

    async def one(self, replay_id: str, tenant_id: int | None) -> Replay | None:
        async with self._database.reading() as connection:
            row = await connection.fetchrow(sql.ONE, replay_id, tenant_id)
        return None if row is None else _replay(row)

    async def page(self, *, tenant_id: int | None, before_id: str | None, limit: int) -> list[Replay]:
        async with self._database.reading() as connection:
            return [_replay(row) for row in await connection.fetch(sql.PAGE, tenant_id, before_id, limit)]

    async def cancel(self, replay_id: str, tenant_id: int | None, entry: AuditEntry) -> list[str] | None:
        """Stop a replay and withdraw what nobody has begun; whose rows changed. None where there is none to stop."""
        async with self._database.writing() as connection:
            if await connection.execute(sql.CANCEL, replay_id, tenant_id) == "UPDATE 0":
                return None
            await connection.execute(sql.END_PARTS, replay_id)
            withdrawn = [row["webhook_id"] for each in sql.WITHDRAW for row in await connection.fetch(each, replay_id)]
            await connection.execute(sql.NOTE, replay_id, -len(withdrawn), 0)  # what was put and taken back is not done
            await audit.insert(connection, entry)
        return sorted(set(withdrawn))

    async def parts(self) -> list[Part]:
        """What all running replays have still to go through, the oldest first."""
        async with self._database.reading() as connection:
            return [Part(row["replay_id"], row["webhook_id"]) for row in await connection.fetch(sql.PARTS)]

    async def advance(self, part: Part, *, walk: int, open_limit: int) -> Advance | None:
        """Go through the next `walk` rows, unless `open_limit` deliveries of this part are under way.

        None once it is cancelled or finished.
        """
        key = (part.replay_id, part.webhook_id)
        async with self._database.writing() as connection:
            row = await connection.fetchrow(sql.LOCK, *key)
            if row is None:
                return None
            if await connection.fetchval(sql.OPEN, *key) >= open_limit:
                return Advance(0, moved=False, finished=False)
            what, after_id = _range(row), str(row["cursor"])
            last_id = None
            if not what.is_handful:
                edge, conditions = edge_sql(what, part.webhook_id, after_id=after_id, walk=walk)
                last_id = await connection.fetchval(edge, *conditions.args)
            step, conditions = step_sql(what, part.webhook_id, after_id=after_id, last_id=last_id)
            hook, replay = conditions.place(part.webhook_id), conditions.place(part.replay_id)
            statement = sql.PUT.format(replayed=step, webhook=hook, replay=replay)
            put = await _put(connection, part.replay_id, statement, *conditions.args)
            if last_id is None:
                await connection.execute(sql.END_PART, *key)
                await connection.execute(sql.FINISH, part.replay_id)
            else:
                await connection.execute(sql.ADVANCE, *key, last_id)
        return Advance(put, moved=True, finished=last_id is None)


async def _put(connection: Connection, replay_id: str, statement: str, *args: object) -> int:
    """Put rows, and count them; also what was found but is on its way."""
    made = await connection.fetchrow(statement, *args)
    assert made is not None, "it counts"
    await connection.execute(sql.NOTE, replay_id, made["put"], made["found"] - made["put"])
    return int(made["put"])


async def _webhooks(connection: Connection, what: ReplayRange) -> list[str]:
    rows = await connection.fetch(sql.WEBHOOKS_OF_RANGE, what.tenant_id, what.webhook_id)
    return [row["id"] for row in rows]


def _range(row: asyncpg.Record) -> ReplayRange:
    return ReplayRange(
        tenant_id=row["tenant_id"],
        from_id=str(row["from_id"]),
        before_id=str(row["to_id"]),
        only_failed=row["only_failed"],
        period_of=row["period_of"],
        webhook_id=None if row["webhook_id"] is None else str(row["webhook_id"]),
        event_type=row["event_type"],
        ok=row["ok"],
        statuses=None if row["status_from"] is None else (row["status_from"], row["status_to"]),
        call_key=row["call_key"],
        account_id=row["account_id"],
    )


def _replay(row: asyncpg.Record) -> Replay:
    """`running` is shown until the last delivery has been tried to its end."""
    put, open_, state = row["put"], row["open"], row["state"]
    return Replay(
        id=row["id"],
        tenant_id=row["tenant_id"],
        webhook_id=row["webhook_id"],
        event_id=row["event_id"],
        what=None if row["event_id"] is not None else _range(row),
        state="running" if state == "done" and open_ else state,
        total=row["total"],
        done=row["skipped"] + (put if state == "cancelled" else put - open_),
        skipped=row["skipped"],
        created_at=row["created_at"],
    )
