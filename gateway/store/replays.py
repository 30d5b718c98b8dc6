"""Replays in PostgreSQL: which deliveries are to be made once more, and how far that has come.

A replay puts rows into `deliveries`, where the lanes find them like any other; the event keeps its id. Invariant: the
rows of a chunk and the cursor behind them are committed together, so a replay that is interrupted goes on where it
was, and puts no row twice.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime

import asyncpg

from gateway.ids import ZERO_ID
from gateway.store import audit
from gateway.store.audit import AuditEntry
from gateway.store.reading import Connection, Database

# What is left of a replay is what of its rows is neither gone nor failed again. `done` in the table counts the
# rows that were put, so what is shown as done is what has been tried to its end.
_SHOWN = """
SELECT r.id::text, r.tenant_id, r.webhook_id::text, r.event_id::text, r.only_failed, r.state, r.total,
       r.done AS put, r.created_at,
       (SELECT count(*) FROM deliveries AS d WHERE d.replay_id = r.id AND d.state <> 'failed') AS open
FROM replays AS r
"""

ONE = f"{_SHOWN} WHERE r.id = $1 AND ($2::integer IS NULL OR r.tenant_id = $2)"

PAGE = f"""
{_SHOWN} WHERE ($1::integer IS NULL OR r.tenant_id = $1) AND ($2::uuid IS NULL OR r.id < $2)
ORDER BY r.id DESC LIMIT $3
"""

RUNNING = "SELECT id::text FROM replays WHERE state = 'running' ORDER BY id"

FIND_EVENT = """
SELECT tenant_id, webhook_ids::text[] AS webhook_ids FROM events
WHERE id = $1 AND ($2::integer IS NULL OR tenant_id = $2)
"""

WEBHOOKS = "SELECT id::text FROM webhooks WHERE id = ANY($1::uuid[]) AND tenant_id = $2 ORDER BY id"

START = """
INSERT INTO replays (id, tenant_id, webhook_id, event_id, from_id, to_id, only_failed, state, total)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', $8)
"""

# Deliveries of some events to some webhooks, to be made at once, as the first try of a new schedule. One that is
# unsettled already is only made due: it keeps its place in its schedule, which a cancelled replay must not cost it.
_PUT = """
INSERT INTO deliveries AS d (webhook_id, event_id, shard, call_key, state, attempts, tries, next_at, wait_until,
                             replay_id)
SELECT w.id, e.id, e.shard, CASE WHEN w.order_wait_s IS NOT NULL THEN e.call_key END, 'queued',
       coalesce((SELECT max(a.number) FROM attempts AS a
                 WHERE a.event_id = e.id AND a.webhook_id = w.id AND NOT a.test), 0),
       0, now(), now() + make_interval(secs => w.order_wait_s), r.id
FROM replays AS r, events AS e, webhooks AS w
WHERE {which}
ON CONFLICT (webhook_id, event_id) DO UPDATE
SET state = CASE d.state WHEN 'failed' THEN 'queued' ELSE d.state END,
    tries = CASE d.state WHEN 'failed' THEN 0 ELSE d.tries END,
    wait_until = CASE d.state WHEN 'failed' THEN excluded.wait_until ELSE d.wait_until END,
    replay_id = CASE d.state WHEN 'queued' THEN d.replay_id ELSE excluded.replay_id END,
    next_at = excluded.next_at
"""

PUT_EVENT = _PUT.format(which="r.id = $1 AND e.id = r.event_id AND w.id = ANY($2::uuid[])")
PUT_CHUNK = _PUT.format(which="r.id = $1 AND e.id = ANY($2::uuid[]) AND w.id = r.webhook_id")

# The events of a range replay above its cursor: those that failed at the webhook, or all that it matched when
# they were accepted or would match now.
_MATCHING = """
FROM events AS e JOIN webhooks AS w ON w.id = $1 AND w.tenant_id = e.tenant_id
WHERE e.id >= $2 AND e.id < $3 AND (w.id = ANY(e.webhook_ids) OR e.type = ANY(w.events))
"""
_FAILED = """
FROM deliveries AS e WHERE e.webhook_id = $1 AND e.event_id >= $2 AND e.event_id < $3 AND e.state = 'failed'
"""
COUNT_ALL = f"SELECT count(*) {_MATCHING}"
COUNT_FAILED = f"SELECT count(*) {_FAILED}"
CHUNK_ALL = f"SELECT e.id {_MATCHING} AND e.id > $4 ORDER BY e.id LIMIT $5"
CHUNK_FAILED = f"SELECT e.event_id AS id {_FAILED} AND e.event_id > $4 ORDER BY e.event_id LIMIT $5"

LOCK = """
SELECT webhook_id::text, from_id, to_id, only_failed, cursor FROM replays
WHERE id = $1 AND state = 'running' FOR UPDATE
"""

OPEN = "SELECT count(*) FROM deliveries WHERE replay_id = $1 AND state <> 'failed'"

ADVANCE = "UPDATE replays SET cursor = $2, done = done + $3 WHERE id = $1"

FINISH = "UPDATE replays SET state = 'done', done = done + $2, total = done + $2 WHERE id = $1"

CANCEL = """
UPDATE replays SET state = 'cancelled'
WHERE id = $1 AND state <> 'cancelled' AND ($2::integer IS NULL OR tenant_id = $2)
"""

# What a cancelled replay has put and nobody has begun goes back to what it was: settled, never owed, or failed.
WITHDRAW_DELIVERED = """
DELETE FROM deliveries AS d WHERE d.replay_id = $1 AND d.state = 'queued' AND EXISTS (
    SELECT 1 FROM attempts AS a WHERE a.event_id = d.event_id AND a.webhook_id = d.webhook_id AND a.ok AND NOT a.test
)
RETURNING d.webhook_id::text
"""
WITHDRAW_UNOWED = """
DELETE FROM deliveries AS d USING events AS e
WHERE d.replay_id = $1 AND d.state = 'queued' AND d.attempts = 0
  AND e.id = d.event_id AND d.webhook_id <> ALL (e.webhook_ids)
RETURNING d.webhook_id::text
"""
WITHDRAW_FAILED = """
UPDATE deliveries AS d SET state = 'failed' WHERE d.replay_id = $1 AND d.state = 'queued' AND d.attempts > 0
RETURNING d.webhook_id::text
"""
WITHDRAW = (WITHDRAW_DELIVERED, WITHDRAW_UNOWED, WITHDRAW_FAILED)


@dataclass(frozen=True, slots=True)
class Replay:
    """`total` None: not counted yet. `done` is how many have been tried to their end, well or not."""

    id: str
    tenant_id: int
    webhook_id: str | None
    event_id: str | None
    only_failed: bool
    state: str
    total: int | None
    done: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Advance:
    """What one step of a range replay did; `put` 0 with `finished` false means that enough is under way."""

    webhook_id: str
    put: int
    finished: bool


class ReplayStore:
    """Owns the table `replays`."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def start_event(
        self, replay_id: str, *, event_id: str, webhook_id: str | None, tenant_id: int | None, entry: AuditEntry
    ) -> list[str] | None:
        """Put one event's deliveries, to the webhook named or to all that it matched; which those are.

        None where there is no such event. Empty, and nothing put, where no such webhook exists (any more).
        """
        async with self._database.writing() as connection:
            event = await connection.fetchrow(FIND_EVENT, event_id, tenant_id)
            if event is None:
                return None
            asked = event["webhook_ids"] if webhook_id is None else [webhook_id]
            webhook_ids = [row["id"] for row in await connection.fetch(WEBHOOKS, asked, event["tenant_id"])]
            if not webhook_ids:
                return []
            await connection.execute(
                START, replay_id, event["tenant_id"], webhook_id, event_id, None, None, False, len(webhook_ids)
            )
            await connection.execute(PUT_EVENT, replay_id, webhook_ids)
            await connection.execute(FINISH, replay_id, len(webhook_ids))
            await audit.insert(connection, replace(entry, tenant_id=event["tenant_id"]))
        return webhook_ids

    async def start_range(
        self,
        replay_id: str,
        *,
        tenant_id: int,
        webhook_id: str,
        from_id: str,
        before_id: str,
        only_failed: bool,
        entry: AuditEntry,
    ) -> int:
        """Count what a range holds, and leave the rest to `advance`."""
        async with self._database.writing() as connection:
            count = COUNT_FAILED if only_failed else COUNT_ALL
            total: int = await connection.fetchval(count, webhook_id, from_id, before_id)
            await connection.execute(
                START, replay_id, tenant_id, webhook_id, None, from_id, before_id, only_failed, total
            )
            await audit.insert(connection, entry)
        return total

    async def one(self, replay_id: str, tenant_id: int | None) -> Replay | None:
        async with self._database.reading() as connection:
            row = await connection.fetchrow(ONE, replay_id, tenant_id)
        return None if row is None else _replay(row)

    async def page(self, *, tenant_id: int | None, before_id: str | None, limit: int) -> list[Replay]:
        async with self._database.reading() as connection:
            return [_replay(row) for row in await connection.fetch(PAGE, tenant_id, before_id, limit)]

    async def cancel(self, replay_id: str, tenant_id: int | None, entry: AuditEntry) -> list[str] | None:
        """Stop a replay and withdraw what nobody has begun; whose rows changed. None where there is none to stop."""
        async with self._database.writing() as connection:
            if await connection.execute(CANCEL, replay_id, tenant_id) == "UPDATE 0":
                return None
            withdrawn = [await connection.fetch(withdraw, replay_id) for withdraw in WITHDRAW]
            await audit.insert(connection, entry)
        return sorted({row["webhook_id"] for rows in withdrawn for row in rows})

    async def running(self) -> list[str]:
        """The range replays that have rows to put, oldest first."""
        async with self._database.reading() as connection:
            return [row["id"] for row in await connection.fetch(RUNNING)]

    async def advance(self, replay_id: str, *, chunk: int, open_limit: int) -> Advance | None:
        """Put the next `chunk` rows, unless `open_limit` are under way. None once it is cancelled or finished."""
        async with self._database.writing() as connection:
            replay = await connection.fetchrow(LOCK, replay_id)
            if replay is None:
                return None
            if await connection.fetchval(OPEN, replay_id) >= open_limit:
                return Advance(replay["webhook_id"], 0, finished=False)
            return await self._put_chunk(connection, replay_id, replay, chunk)

    async def _put_chunk(self, connection: Connection, replay_id: str, replay: asyncpg.Record, chunk: int) -> Advance:
        events = await connection.fetch(
            CHUNK_FAILED if replay["only_failed"] else CHUNK_ALL,
            replay["webhook_id"],
            replay["from_id"],
            replay["to_id"],
            replay["cursor"] or ZERO_ID,
            chunk,
        )
        event_ids = [event["id"] for event in events]
        status = await connection.execute(PUT_CHUNK, replay_id, event_ids)
        put = int(status.rpartition(" ")[2])
        finished = len(event_ids) < chunk
        if finished:
            await connection.execute(FINISH, replay_id, put)
        else:
            await connection.execute(ADVANCE, replay_id, event_ids[-1], put)
        return Advance(replay["webhook_id"], put, finished)


def _replay(row: asyncpg.Record) -> Replay:
    """`running` is shown until the last delivery has been tried to its end."""
    put, open_, state = row["put"], row["open"], row["state"]
    return Replay(
        id=row["id"],
        tenant_id=row["tenant_id"],
        webhook_id=row["webhook_id"],
        event_id=row["event_id"],
        only_failed=row["only_failed"],
        state="running" if state == "done" and open_ else state,
        total=row["total"],
        done=put - open_ if state != "cancelled" else put,
        created_at=row["created_at"],
    )
