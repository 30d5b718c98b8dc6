"""How the read side asks PostgreSQL: short transactions with a hard time limit, and errors in our words.

Invariant: no question holds a connection, or the server, longer than its limit, and none of them waits behind the
pipeline's own connections: reads have a pool of their own. What writes passes the fence first.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Literal, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from gateway.errors import Problem, Unavailable
from gateway.store.fence import check_fence
from gateway.store.log import Fence
from gateway.store.session import BROKEN, REFUSED

ACQUIRE_TIMEOUT_S = 5.0
"""For getting a connection and for giving it back."""
STATEMENT_TIMEOUT_S = 10.0
"""For one statement; past it the server gives up, and the caller is asked to narrow the search."""

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

# Plans are made for the values at hand: a generic one would treat a rare account like a common one.
LIMITS = """
SELECT set_config('statement_timeout', $1, true), set_config('plan_cache_mode', 'force_custom_plan', true),
       set_config('jit', 'off', true)
"""


class Database:
    """A pool, asked in transactions. Safe for concurrent use from one event loop.

    `fence` None: for one who is alone with the database.
    """

    def __init__(
        self, pool: Pool, *, fence: Fence | None = None, statement_timeout_s: float = STATEMENT_TIMEOUT_S
    ) -> None:
        self._pool = pool
        self._fence = fence
        self._statement_timeout_s = statement_timeout_s

    @asynccontextmanager
    async def reading(self) -> AsyncIterator[Connection]:
        """One snapshot, which nothing in it can change."""
        async with self._transaction(readonly=True, isolation="repeatable_read") as connection:
            yield connection

    @asynccontextmanager
    async def writing(self) -> AsyncIterator[Connection]:
        """One transaction: committed when the block ends, undone when it raises.

        Raises `Unavailable`, and changes nothing, where this process does not own the shards any more.
        """
        async with self._transaction(readonly=False, isolation="read_committed") as connection:
            if self._fence is not None:
                await check_fence(connection, self._fence)
            yield connection

    @asynccontextmanager
    async def _transaction(
        self, *, readonly: bool, isolation: Literal["read_committed", "repeatable_read"]
    ) -> AsyncIterator[Connection]:
        """Raises Problem 422 `too-wide` where a statement takes too long, `Unavailable` where the database is away."""
        limit_s = self._statement_timeout_s
        try:
            async with (
                asyncio.timeout(3 * limit_s + 2 * ACQUIRE_TIMEOUT_S),
                self._pool.acquire(timeout=ACQUIRE_TIMEOUT_S) as connection,
                connection.transaction(readonly=readonly, isolation=isolation),
            ):
                await connection.fetch(LIMITS, f"{limit_s * 1000:.0f}", timeout=ACQUIRE_TIMEOUT_S)
                yield connection
        except asyncpg.QueryCanceledError as error:
            detail = f"this takes longer than {limit_s:g} s; narrow it, e.g. with from and to"
            raise Problem(422, "too-wide", detail) from error
        except (*BROKEN, *REFUSED) as error:
            raise Unavailable("the database does not answer; try again in a moment") from error
