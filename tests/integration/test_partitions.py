"""Day partitions: there before they are needed, gone when nothing in them is owed any more."""

from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest

from gateway.errors import Unavailable
from gateway.ids import floor_id
from gateway.store.partitions import AHEAD_DAYS, drop_partitions, expire_keys, forget_removed, make_partitions
from gateway.store.session import Session

TODAY = date(2026, 3, 1)
Admin: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture
async def session(database: str) -> AsyncIterator[Session]:
    session = Session(database, name="test", timeout_s=5.0)
    yield session
    await session.close()


@pytest.fixture
async def admin(database: str) -> AsyncIterator[Admin]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


async def put_event(admin: Admin, day: date) -> UUID:
    event_id = UUID(floor_id(datetime(day.year, day.month, day.day, 12, tzinfo=UTC)))
    await admin.execute(
        "INSERT INTO events (id, shard, tenant_id, type, webhook_ids, payload) VALUES ($1, 0, 1, 'x', '{}', '')",
        event_id,
    )
    return event_id


async def put_delivery(admin: Admin, event_id: UUID, webhook_id: UUID, state: str = "failed") -> None:
    await admin.execute(
        "INSERT INTO deliveries (webhook_id, event_id, shard, state, attempts, tries, next_at)"
        " VALUES ($1, $2, 0, $3, 1, 1, now())",
        webhook_id,
        event_id,
        state,
    )


async def days(admin: Admin, table: str = "events") -> list[str]:
    rows = await admin.fetch(
        "SELECT relname FROM pg_class JOIN pg_inherits ON pg_class.oid = inhrelid"
        " WHERE inhparent = $1::text::regclass AND relkind = 'r' ORDER BY relname",
        table,
    )
    return [row["relname"].removeprefix(f"{table}_") for row in rows]


async def test_the_days_around_today_are_made_once_and_take_events_from_midnight_to_midnight(
    session: Session, admin: Admin
) -> None:
    for _ in range(2):
        await make_partitions(session, TODAY)
    assert await days(admin) == await days(admin, "attempts") == ["20260228"] + [f"202603{n:02}" for n in range(1, 5)]
    for offset in range(-1, AHEAD_DAYS + 1):
        await put_event(admin, TODAY + timedelta(days=offset))
    with pytest.raises(asyncpg.CheckViolationError):
        await put_event(admin, TODAY + timedelta(days=AHEAD_DAYS + 1))


async def test_old_days_are_dropped_and_one_with_something_owed_stays(session: Session, admin: Admin) -> None:
    await make_partitions(session, TODAY)
    event_id = await put_event(admin, TODAY)
    await put_event(admin, TODAY - timedelta(days=1))
    await put_delivery(admin, event_id, uuid4())
    await drop_partitions(session, TODAY + timedelta(days=2))
    assert await days(admin) == await days(admin, "attempts") == ["20260301", "20260303", "20260304"]
    assert await admin.fetchval("SELECT count(*) FROM events") == 1


async def test_what_is_owed_to_a_webhook_that_was_removed_keeps_no_day(session: Session, admin: Admin) -> None:
    await make_partitions(session, TODAY)
    event_id = await put_event(admin, TODAY)
    for _ in range(3):
        await put_delivery(admin, event_id, uuid4(), "queued")
    await forget_removed(session)
    await drop_partitions(session, TODAY + timedelta(days=1))
    assert await admin.fetchval("SELECT count(*) FROM deliveries") == 0
    assert "20260301" not in await days(admin)


async def test_a_reader_that_is_in_the_way_delays_the_drop_and_not_those_who_write(
    session: Session, admin: Admin, database: str
) -> None:
    await make_partitions(session, TODAY)
    reader = await asyncpg.connect(database)
    async with reader.transaction():
        await reader.fetch("SELECT count(*) FROM events")
        with pytest.raises(Unavailable):
            await drop_partitions(session, TODAY + timedelta(days=1))
        await put_event(admin, TODAY + timedelta(days=1))
    await reader.close()
    assert await drop_partitions(session, TODAY) == 2


async def test_keys_are_forgotten_when_their_time_is_over(session: Session, admin: Admin) -> None:
    await admin.execute(
        "INSERT INTO idempotency SELECT 1, n::text, '', $1, now() + make_interval(secs => n)"
        " FROM generate_series(-9, 9) AS n WHERE n <> 0",
        uuid4(),
    )
    await expire_keys(session)
    assert await admin.fetchval("SELECT count(*) FROM idempotency") == 9
