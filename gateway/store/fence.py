"""The fence of what is written through the pool: the API's, the console's and the replays' changes.

Invariant: a transaction that passes the fence is committed before the next owner of the shards reads anything, or not
at all. The next owner first raises the epoch and then ends every connection that `ANY_WRITER` finds, so one that passed
before is ended, and one that begins later does not pass.
"""

from __future__ import annotations

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from gateway.errors import Unavailable
from gateway.store.log import Fence
from gateway.store.statements import FENCE_HOLDS

ANY_WRITER = "gateway % %"
"""What the connections that write are called (as a pattern): `gateway`, the owner, and what they are for."""


async def check_fence(connection: PoolConnectionProxy[asyncpg.Record], fence: Fence) -> None:
    """Raises `Unavailable` where another process owns the shards by now, which knows nothing of this one's changes."""
    if await connection.fetchrow(FENCE_HOLDS, fence.owner, fence.epoch) is None:
        raise Unavailable("another process has taken over from this one; nothing was changed; try again in a moment")
