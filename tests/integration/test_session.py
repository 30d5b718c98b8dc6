"""One connection under a hard clock: what is in doubt is said to be, and is decided before anybody builds on it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime

import asyncpg
import pytest

from gateway.errors import Unavailable
from gateway.ids import IdSource
from gateway.log import BadRow, NewEvent, OutcomeUnknown
from gateway.model import Event
from gateway.store.log import PostgresLog
from gateway.store.ownership import Ownership
from gateway.store.partitions import make_partitions
from gateway.store.session import Session

IDS = IdSource()


@pytest.fixture
async def session(database: str) -> AsyncIterator[Session]:
    session = Session(database, name="test", timeout_s=1.0)
    yield session
    await session.close()


@pytest.fixture
async def admin(database: str) -> AsyncIterator[asyncpg.Connection[asyncpg.Record]]:
    connection = await asyncpg.connect(database)
    yield connection
    await connection.close()


@pytest.fixture
async def log(session: Session, database: str) -> AsyncIterator[PostgresLog]:
    await make_partitions(session, datetime.now(UTC).date())
    ownership = Ownership(database, owner="one")
    await ownership.own()
    log = PostgresLog(database, fence=ownership.fence, write_timeout_s=0.5)
    yield log
    await log.close()
    await ownership.release()


def new_event(**changes: object) -> NewEvent:
    return NewEvent(Event(IDS.next(), 1, "call.created", None, None, b"{}", (), **changes), 0)  # type: ignore[arg-type]


async def test_a_statement_whose_server_process_was_ended_is_in_doubt(
    session: Session, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    await session.fetch("SELECT 1")
    sleeping = asyncio.create_task(session.fetch("SELECT pg_sleep(30)", timeout_s=20))
    while not await admin.fetchval(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE query LIKE '%sleep(30)'"
    ):
        await asyncio.sleep(0.01)
    with pytest.raises(OutcomeUnknown):
        await sleeping
    assert await session.fetch("SELECT 1")


async def test_a_statement_that_takes_too_long_is_in_doubt_and_the_next_one_has_a_new_connection(
    session: Session,
) -> None:
    await session.fetch("SELECT 1")
    before = session.pid
    with pytest.raises(OutcomeUnknown):
        await session.fetch("SELECT pg_sleep(30)", timeout_s=0.1)
    assert await session.fetch("SELECT 1") and session.pid != before


async def test_content_that_the_database_refuses_is_a_bad_row_and_costs_no_connection(session: Session) -> None:
    await session.fetch("SELECT 1")
    before = session.pid
    for bad in ("a\0b", "\ud800"):
        with pytest.raises(BadRow):
            await session.fetch("SELECT $1::text", bad)
    assert await session.fetch("SELECT 1") and session.pid == before


async def test_a_database_that_is_not_there_is_unavailable_and_nothing_is_in_doubt(tmp_path: object) -> None:
    session = Session(f"postgresql://nobody@/x?host={tmp_path}", name="test", timeout_s=1.0)
    with pytest.raises(Unavailable) as raised:
        await session.fetch("SELECT 1")
    assert not isinstance(raised.value, OutcomeUnknown)


async def test_an_append_that_hangs_is_undone_for_good_once_it_is_said_not_to_exist(
    log: PostgresLog, admin: asyncpg.Connection[asyncpg.Record]
) -> None:
    event = new_event()
    async with admin.transaction():
        await admin.execute("LOCK TABLE events IN EXCLUSIVE MODE")
        with pytest.raises(OutcomeUnknown):
            await log.append([event])
        assert await log.existing([event.event.id]) == set()
    assert await admin.fetchval("SELECT count(*) FROM events") == 0
    assert await log.append([event]) == [None]


async def test_a_doubt_outlives_a_question_that_failed(
    log: PostgresLog, session: Session, admin: asyncpg.Connection[asyncpg.Record], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asyncpg.Connection, "_cancel_current_command", _lost)
    event = new_event()
    async with admin.transaction():
        await admin.execute("LOCK TABLE events IN EXCLUSIVE MODE")
        with pytest.raises(OutcomeUnknown):
            await log.append([event])
        (waiting,) = await session.fetch("SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'")
        with monkeypatch.context() as patched:
            patched.setattr(Session, "fetch", _away)
            with pytest.raises(Unavailable):
                await log.existing([event.event.id])
        assert await log.existing([event.event.id]) == set()
        assert not await session.fetch("SELECT 1 FROM pg_stat_activity WHERE pid = $1", waiting["pid"])


async def test_a_time_that_no_database_holds_is_a_bad_row(log: PostgresLog) -> None:
    time = datetime.fromisoformat("0001-01-01T00:00:00+23:59")
    with pytest.raises(BadRow):
        await log.append([new_event(occurred_at=time)])


async def _away(*_: object, **__: object) -> list[asyncpg.Record]:
    raise Unavailable("the database cannot be reached")


def _lost(connection: object, waiter: asyncio.Future[None], *_: object) -> None:
    """A request to cancel that never reaches the server."""
    waiter.set_result(None)
