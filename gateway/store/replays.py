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
from gateway.store import replay_statements as sql
from gateway.store.audit import AuditEntry
from gateway.store.reading import Connection, Database


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
            event = await connection.fetchrow(sql.FIND_EVENT, event_id, tenant_id)
            if event is None:
                return None
            asked = event["webhook_ids"] if webhook_id is None else [webhook_id]
            webhook_ids = [row["id"] for row in await connection.fetch(sql.WEBHOOKS, asked, event["tenant_id"])]
            if not webhook_ids:
                return []
            await connection.execute(
                sql.START, replay_id, event["tenant_id"], webhook_id, event_id, None, None, False, len(webhook_ids)
            )
            await connection.execute(sql.PUT_EVENT, replay_id, webhook_ids)
            await connection.execute(sql.FINISH, replay_id, len(webhook_ids))
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
            count = sql.COUNT_FAILED if only_failed else sql.COUNT_ALL
            total: int = await connection.fetchval(count, webhook_id, from_id, before_id)
            await connection.execute(
                sql.START, replay_id, tenant_id, webhook_id, None, from_id, before_id, only_failed, total
            )
            await audit.insert(connection, entry)
        return total

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
            withdrawn = [await connection.fetch(withdraw, replay_id) for withdraw in sql.WITHDRAW]
            await audit.insert(connection, entry)
        return sorted({row["webhook_id"] for rows in withdrawn for row in rows})

    async def running(self) -> list[str]:
        """The range replays that have rows to put, oldest first."""
        async with self._database.reading() as connection:
            return [row["id"] for row in await connection.fetch(sql.RUNNING)]

    async def advance(self, replay_id: str, *, chunk: int, open_limit: int) -> Advance | None:
        """Put the next `chunk` rows, unless `open_limit` are under way. None once it is cancelled or finished."""
        async with self._database.writing() as connection:
            replay = await connection.fetchrow(sql.LOCK, replay_id)
            if replay is None:
                return None
            if await connection.fetchval(sql.OPEN, replay_id) >= open_limit:
                return Advance(replay["webhook_id"], 0, finished=False)
            return await self._put_chunk(connection, replay_id, replay, chunk)

    async def _put_chunk(self, connection: Connection, replay_id: str, replay: asyncpg.Record, chunk: int) -> Advance:
        events = await connection.fetch(
            sql.CHUNK_FAILED if replay["only_failed"] else sql.CHUNK_ALL,
            replay["webhook_id"],
            replay["from_id"],
            replay["to_id"],
            replay["cursor"] or ZERO_ID,
            chunk,
        )
        event_ids = [event["id"] for event in events]
        status = await connection.execute(sql.PUT_CHUNK, replay_id, event_ids)
        put = int(status.rpartition(" ")[2])
        finished = len(event_ids) < chunk
        if finished:
            await connection.execute(sql.FINISH, replay_id, put)
        else:
            await connection.execute(sql.ADVANCE, replay_id, event_ids[-1], put)
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
