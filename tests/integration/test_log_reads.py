"""The log's reads: a slow one of the lanes' does not keep shut what waits for the end of a doubt."""

from __future__ import annotations

import asyncio

import asyncpg

from gateway.ids import IdSource
from gateway.store.log import Fence, PostgresLog


async def test_what_became_of_a_write_is_looked_up_beside_a_read_that_hangs(database: str) -> None:
    log = PostgresLog(database, fence=Fence("one", 1), write_timeout_s=1.0)
    admin = await asyncpg.connect(database)
    ids = IdSource()
    try:
        async with admin.transaction():
            await admin.execute("LOCK TABLE deliveries IN ACCESS EXCLUSIVE MODE")
            hanging = asyncio.create_task(log.with_backlog([ids.next()]))
            while not await admin.fetchval("SELECT count(*) FROM pg_locks WHERE NOT granted"):
                await asyncio.sleep(0.01)
            assert await log.existing([ids.next()]) == set()
            assert not hanging.done()
        assert await hanging == set()
    finally:
        await log.close()
        await admin.close()
