"""The connections that the API and the console share: few, with time limits on everything."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg

from gateway.store.reading import Pool

CONNECTIONS = 10
CONNECT_TIMEOUT_S = 5.0
COMMAND_TIMEOUT_S = 30.0


@asynccontextmanager
async def open_pool(dsn: str, *, owner: str) -> AsyncIterator[Pool]:
    """A pool; closed within a moment even where the database no longer answers. Ended when `owner` is replaced."""
    async with asyncpg.create_pool(
        dsn,
        min_size=1,
        max_size=CONNECTIONS,
        timeout=CONNECT_TIMEOUT_S,
        command_timeout=COMMAND_TIMEOUT_S,
        server_settings={"application_name": f"gateway {owner} api"},
    ) as pool:
        try:
            yield pool
        finally:
            pool.terminate()
