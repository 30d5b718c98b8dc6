"""Who delivers: the ownership of the shards, by a lock, a lease and an epoch.

The lock is held by a connection, so it is free the moment its process dies; the lease, on the database's clock,
runs out where a process is frozen; the epoch fences whatever an earlier owner still sends. Invariant: when
`own` returns, no statement of an earlier owner is under way, and none that begins later can change anything.
"""

from __future__ import annotations

import asyncio

import asyncpg
import structlog

from gateway.clock import Clock
from gateway.errors import Fenced, Unavailable
from gateway.log import OutcomeUnknown
from gateway.store.fence import ANY_WRITER
from gateway.store.log import Fence
from gateway.store.session import Connect, Session

LEASE_S = 10.0
RENEW_S = 1.0
POLL_S = 0.1
LOCK = 7_203_411_902
"""The advisory lock's key: any number, the same for all gateways on one database."""
SETTLE_S = 2.0
"""After the database was restarted the owner gets this long to take its lock back before another may."""

_TRY_LOCK = "SELECT pg_try_advisory_lock($1) AS held"
_STATE = """
SELECT owner, epoch, expires_at < clock_timestamp() AS expired, watermark,
       clock_timestamp() - pg_postmaster_start_time() < make_interval(secs => $1) AS restarted
FROM shards WHERE id = 0
"""
_END_LOCK_HOLDER = """
SELECT pg_terminate_backend(pid) FROM pg_locks
WHERE locktype = 'advisory' AND granted
  AND (classid::bigint << 32) + objid::bigint = $1
"""
_TAKE = """
UPDATE shards SET owner = $1, epoch = epoch + 1, expires_at = clock_timestamp() + make_interval(secs => $2)
RETURNING epoch, watermark
"""
# Of whichever owner: the one before may have died between raising the epoch and ending those of the one before it.
_END_CONNECTIONS = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND application_name LIKE $1
"""
_RENEW = """
UPDATE shards SET watermark = greatest(watermark, $4::uuid),
                  expires_at = clock_timestamp() + make_interval(secs => $3)
WHERE owner = $1 AND epoch = $2
RETURNING id
"""
_RELEASE = """
UPDATE shards SET owner = NULL, expires_at = '-infinity' WHERE owner = $1 AND epoch = $2
"""

log = structlog.get_logger(__name__)


class Ownership:
    """One process's claim. All of it goes over one connection, which holds the lock."""

    def __init__(self, dsn: str, *, owner: str, clock: Clock | None = None, connect: Connect = asyncpg.connect) -> None:
        self._owner = owner
        self._monotonic_s = (clock or Clock()).monotonic_s
        self._session = Session(dsn, name=f"gateway {owner}", timeout_s=LEASE_S / 4, connect=connect)
        self._locked_pid: int | None = None
        self._epoch = 0
        self._valid_until = 0.0
        self._waits = False

    @property
    def fence(self) -> Fence:
        return Fence(self._owner, self._epoch)

    @property
    def is_valid(self) -> bool:
        """Does the lease certainly still hold? On this process's own clock, so also right after it was frozen."""
        return self._monotonic_s() < self._valid_until

    async def own(self) -> str:
        """Wait until this process owns the shards; returns the watermark to recover from."""
        while True:
            try:
                if await self._try_lock():
                    return await self._take()
            except Unavailable as error:
                log.warning("ownership_waits_for_the_database", error=str(error))
                await asyncio.sleep(0.5)
            await asyncio.sleep(POLL_S)

    async def _try_lock(self) -> bool:
        (state,) = await self._session.fetch(_STATE, SETTLE_S)
        if state["restarted"] and not state["expired"] and state["owner"] is not None:
            return False
        (row,) = await self._session.fetch(_TRY_LOCK, LOCK)
        if row["held"]:
            self._locked_pid = self._session.pid
            return True
        if state["expired"] and state["owner"] is not None:
            log.warning("owner_is_frozen", owner=state["owner"])
            await self._session.fetch(_END_LOCK_HOLDER, LOCK)
        elif not self._waits:
            self._waits = True
            log.info("standby", owner=state["owner"], detail="another process delivers; taking over when it ends")
        return False

    async def _take(self) -> str:
        (state,) = await self._session.fetch(_STATE, SETTLE_S)
        asked_at = self._monotonic_s()
        rows = await self._session.fetch(_TAKE, self._owner, LEASE_S)
        self._epoch = rows[0]["epoch"]
        self._valid_until = asked_at + LEASE_S
        await self._end_connections()
        log.info("owner", epoch=self._epoch, before=state["owner"])
        return str(min(row["watermark"] for row in rows))

    async def _end_connections(self) -> None:
        while await self._session.fetch(_END_CONNECTIONS, ANY_WRITER):  # noqa: ASYNC110
            await asyncio.sleep(0.01)  # they end by themselves now; nothing tells when

    async def renew(self, watermark: str) -> None:
        """Prolong the lease and save the watermark. Raises `Fenced` or `Unavailable`."""
        asked_at = self._monotonic_s()
        try:
            rows = await self._session.fetch(_RENEW, self._owner, self._epoch, LEASE_S, watermark)
            if self._session.pid != self._locked_pid:  # a new connection: the lock went with the old one
                (row,) = await self._session.fetch(_TRY_LOCK, LOCK)
                if not row["held"]:
                    raise Fenced("another process took the lock while the database was away")
                self._locked_pid = self._session.pid
        except OutcomeUnknown as error:
            raise Unavailable(str(error)) from error
        if not rows:
            raise Fenced("another process owns the shards")
        self._valid_until = asked_at + LEASE_S

    async def release(self) -> None:
        """Let another process take over at once."""
        try:
            await self._session.fetch(_RELEASE, self._owner, self._epoch)
        except Unavailable as error:
            log.warning("ownership_not_released", error=str(error))
        await self._session.close()
