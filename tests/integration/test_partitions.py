"""Day partitions: there before they are needed, gone when nothing in them is owed any more."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, date, datetime, timedelta
from typing import TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest
from structlog.testing import capture_logs

from gateway.errors import Unavailable
from gateway.ids import floor_id
from gateway.store.maintenance import Maintenance
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


async def test_a_day_is_made_beside_a_reader_and_a_writer_that_take_their_time(
    session: Session, admin: Admin, database: str
) -> None:
    await make_partitions(session, TODAY)
    busy = await asyncpg.connect(database)
    async with busy.transaction():
        await busy.fetch("SELECT count(*) FROM events")
        await put_event(busy, TODAY)
        await make_partitions(session, TODAY + timedelta(days=1))
    await busy.close()
    assert await days(admin) == await days(admin, "attempts") == ["20260228"] + [f"202603{n:02}" for n in range(1, 6)]


@pytest.mark.parametrize("table", ["events", "attempts"])
async def test_a_day_is_what_the_server_makes_of_one_by_itself(session: Session, admin: Admin, table: str) -> None:
    await make_partitions(session, TODAY)
    low, high = (floor_id(datetime(2031, 1, day, tzinfo=UTC)) for day in (1, 2))
    await admin.execute(f"CREATE TABLE plain PARTITION OF {table} FOR VALUES FROM ('{low}') TO ('{high}')")
    plain, day = [
        await admin.fetch(
            "SELECT column_name, column_default, is_nullable, data_type FROM information_schema.columns"
            " WHERE table_name = $1 UNION ALL SELECT split_part(indexdef, ' USING ', 2), NULL, NULL, NULL"
            " FROM pg_indexes WHERE tablename = $1 AND indexdef !~ ' ON ONLY ' ORDER BY 1",
            name,
        )
        for name in ("plain", f"{table}_{TODAY:%Y%m%d}")
    ]
    assert plain == day
    assert await admin.fetchval(
        "SELECT bool_and(indisvalid) FROM pg_index WHERE indrelid IN ($1::text::regclass, $2::text::regclass)",
        table, f"{table}_{TODAY:%Y%m%d}",
    )  # fmt: skip


async def test_a_start_waits_for_what_stands_in_the_way_of_its_partitions(admin: Admin, database: str) -> None:
    in_the_way = admin.transaction()
    await in_the_way.start()
    await admin.execute("LOCK TABLE events IN SHARE UPDATE EXCLUSIVE MODE")
    maintenance = Maintenance(database, retention_days=1)
    with capture_logs() as lines:
        start = asyncio.create_task(maintenance.prepare())
        while not lines:
            await asyncio.sleep(0.02)
    assert not start.done() and lines[0]["event"] == "partitions_wait"
    await in_the_way.commit()
    await start
    assert len(await days(admin)) == AHEAD_DAYS + 2
    loop = asyncio.create_task(maintenance.run())
    await asyncio.sleep(0)  # it has begun, and closes its connection when it ends
    loop.cancel()
    await asyncio.gather(loop, return_exceptions=True)


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
