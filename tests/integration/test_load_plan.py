"""How the database goes about reading a backlog back."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from uuid import uuid4

import asyncpg

from gateway.store import statements as sql
from gateway.store.partitions import make_partitions
from gateway.store.session import Session
from tests.acceptance.backlog import STORE_BACKLOG

EVENTS = 100_000


async def test_a_backlog_is_loaded_by_index_also_once_the_planner_knows_how_large_it_is(database: str) -> None:
    """The incident: a million stored deliveries came back at 5,000/s for 16 s, until autovacuum had counted the rows.

    Then the planner read all events through for each load, since that was within 1 % of what it took the rest to
    cost, and the drain all but stopped.
    """
    session = Session(database, name="test", timeout_s=30.0)
    await make_partitions(session, datetime.now(UTC).date())
    await session.close()
    webhook_id = uuid4()
    connection = await asyncpg.connect(database)
    try:
        await connection.execute(STORE_BACKLOG, webhook_id, EVENTS)
        for row in await connection.fetch("SELECT DISTINCT tableoid::regclass::text AS name FROM events"):
            await connection.execute(f"ANALYZE {row['name']}")  # as autovacuum does: the empty ones stay unknown
        await connection.execute("ANALYZE deliveries")
        asked = ([webhook_id], [128], datetime.now(UTC) + timedelta(seconds=1), ["{}"])
        assert len(await connection.fetch(sql.LOAD_DUE, *asked)) == 128
        plan = await connection.fetch("EXPLAIN " + sql.LOAD_DUE, *asked)
        text = "\n".join(row[0] for row in plan)
        assert "Seq Scan" not in text, text
    finally:
        await connection.close()
