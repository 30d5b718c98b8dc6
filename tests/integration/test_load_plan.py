"""How the database goes about reading a backlog back: what one load costs, counted in rows."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, TypeAlias
from uuid import UUID, uuid4

import asyncpg
import pytest

from gateway.log import BEGINNING, EARLIER_MOST, Place
from gateway.store import statements as sql
from gateway.store.partitions import make_partitions
from gateway.store.session import Session
from tests.acceptance.backlog import STORE_BACKLOG

EVENTS = 100_000
PAGE = 128
WEBHOOK = uuid4()
FIRST_OF_EACH_CALL_WAITS = """
UPDATE deliveries SET state = 'retrying', next_at = now() + interval '1 hour'
WHERE event_id IN (SELECT DISTINCT ON (call_key) event_id FROM deliveries ORDER BY call_key, event_id)
"""

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


@pytest.fixture
async def connection(database: str) -> AsyncIterator[Connection]:
    """A database with a backlog, once autovacuum has counted it; partitions that are empty stay unknown."""
    session = Session(database, name="test", timeout_s=30.0)
    await make_partitions(session, datetime.now(UTC).date())
    await session.close()
    connection = await asyncpg.connect(database)
    await connection.execute(STORE_BACKLOG, WEBHOOK, EVENTS)
    for row in await connection.fetch("SELECT DISTINCT tableoid::regclass::text AS name FROM events"):
        await connection.execute(f"ANALYZE {row['name']}")
    await connection.execute("ANALYZE deliveries")
    yield connection
    await connection.close()


async def test_a_page_of_a_backlog_is_read_by_index_from_wherever_the_last_one_ended(connection: Connection) -> None:
    after: Place = BEGINNING
    for _ in range(3):
        rows = await connection.fetch(sql.LOAD_DUE, *_asked(after))
        assert len(rows) == PAGE
        assert (rows[0]["next_at"], str(rows[0]["event_id"])) > after
        assert await _examined(connection, sql.LOAD_DUE, _asked(after)) <= PAGE * (2 + EARLIER_MOST)
        after = (rows[-1]["next_at"], str(rows[-1]["event_id"]))


async def test_what_waits_behind_a_failing_event_costs_no_load_more_than_its_page(connection: Connection) -> None:
    """The incident: with 100,000 of them each round looked through all, to find nothing."""
    await connection.execute(FIRST_OF_EACH_CALL_WAITS)
    rows = await connection.fetch(sql.LOAD_DUE, *_asked(BEGINNING))
    assert len(rows) == PAGE and all(row["earlier"] for row in rows)
    assert await _examined(connection, sql.LOAD_DUE, _asked(BEGINNING)) <= PAGE * (2 + EARLIER_MOST)


async def test_a_call_is_asked_for_by_index(connection: Connection) -> None:
    pages: list[list[Any]] = [[], [], [], [], []]
    asked = [*pages, _soon(), [WEBHOOK] * 3, ["1000000001", "1000000500", "none"]]
    assert len(await connection.fetch(sql.LOAD_DUE, *asked)) == 6
    assert await _examined(connection, sql.LOAD_DUE, asked) <= 6 * (2 + EARLIER_MOST)


async def test_events_are_looked_up_one_by_one_also_once_the_planner_knows_how_many_there_are(
    connection: Connection,
) -> None:
    """The incident: a million stored deliveries came back at 5,000/s for 16 s, until autovacuum had counted the rows.

    Then the planner read all events through for each load, since that was within 1 % of what it took the rest to
    cost, and the drain all but stopped.
    """
    ids = [row["event_id"] for row in await connection.fetch(f"SELECT event_id FROM deliveries LIMIT {PAGE}")]
    assert len(await connection.fetch(sql.READ_EVENTS, ids)) == PAGE
    assert await _examined(connection, sql.READ_EVENTS, [ids]) <= 4 * PAGE


def _asked(after: Place) -> list[Any]:
    return [[WEBHOOK], ["queued"], [after[0]], [UUID(after[1])], [PAGE], _soon(), [], []]


def _soon() -> datetime:
    return datetime.now(UTC) + timedelta(seconds=1)


async def _examined(connection: Connection, statement: str, arguments: list[Any]) -> int:
    """The rows that were read from tables and indices, those included that a condition then threw away."""
    plan = await connection.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {statement}", *arguments)
    return sum(_rows(node) for node in _nodes(json.loads(plan)[0]["Plan"]) if "Relation Name" in node)


def _rows(node: dict[str, Any]) -> int:
    removed = node.get("Rows Removed by Filter", 0) + node.get("Rows Removed by Index Recheck", 0)
    return int((node["Actual Rows"] + removed) * node["Actual Loops"])


def _nodes(node: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield node
    for inner in node.get("Plans", ()):
        yield from _nodes(inner)
