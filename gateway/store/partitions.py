"""Day partitions of the two log tables: made ahead of time, dropped whole when they are old enough.

A partition's bounds are ids, which are times. Invariant: nothing unsettled is dropped; a day that still has
deliveries stays, however old.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import structlog

from gateway.ids import floor_id
from gateway.store.session import Session

AHEAD_DAYS = 3
BEHIND_DAYS = 1
TABLES = ("events", "attempts")

_EXISTING = """
SELECT child.relname AS name FROM pg_inherits
JOIN pg_class AS child ON child.oid = inhrelid JOIN pg_class AS parent ON parent.oid = inhparent
WHERE parent.relname = $1 AND parent.relnamespace = 'public'::regnamespace
"""
_HAS_UNSETTLED = "SELECT 1 FROM deliveries WHERE event_id >= $1 AND event_id < $2 LIMIT 1"
_EXPIRE_KEYS = """
DELETE FROM idempotency WHERE ctid IN (SELECT ctid FROM idempotency WHERE expires_at < now() LIMIT 5000) RETURNING 1
"""
# Removing a webhook leaves its deliveries: they may be many, and some may be on their way to the store.
_FORGET_REMOVED = """
DELETE FROM deliveries WHERE ctid IN (
    SELECT d.ctid FROM deliveries AS d LEFT JOIN webhooks AS w ON w.id = d.webhook_id WHERE w.id IS NULL LIMIT 5000
) RETURNING 1
"""
# Made beside the table and then attached, which lets others read and write it; PARTITION OF waits for every reader.
_ATTACH = """
DO $$ BEGIN
    CREATE TABLE {day} (LIKE {table} INCLUDING ALL);
    ALTER TABLE {table} ATTACH PARTITION {day} FOR VALUES FROM ('{low}') TO ('{high}');
END $$
"""
# Other DDL on a table waits for those who read it, and everybody who writes waits behind it: better to come again.
_WAIT_BRIEFLY = "SELECT set_config('lock_timeout', '200ms', false)"

log = structlog.get_logger(__name__)


async def make_partitions(session: Session, today: date) -> None:
    """Make sure that the days around today exist. Raises `Unavailable`, also where a VACUUM is in the way."""
    await session.fetch(_WAIT_BRIEFLY)
    for table in TABLES:
        known = await _names(session, table)
        for offset in range(-BEHIND_DAYS, AHEAD_DAYS + 1):
            day = today + timedelta(days=offset)
            if _name(table, day) not in known:
                low, high = _bounds(day)
                await session.fetch(_ATTACH.format(table=table, day=_name(table, day), low=low, high=high))


async def drop_partitions(session: Session, before: date) -> int:
    """Drop the days before this one that nothing unsettled belongs to; returns how many tables went.

    Raises `Unavailable`, also where readers are in the way.
    """
    dropped = 0
    await session.fetch(_WAIT_BRIEFLY)
    for table in TABLES:
        for name in sorted(await _names(session, table)):
            day = datetime.strptime(name.removeprefix(f"{table}_"), "%Y%m%d").replace(tzinfo=UTC).date()
            if day < before and not await session.fetch(_HAS_UNSETTLED, *_bounds(day)):
                await session.fetch(f"DROP TABLE {name}")
                log.info("partition_dropped", table=name)
                dropped += 1
    return dropped


async def expire_keys(session: Session) -> None:
    """Forget idempotency keys whose time is over, in small steps."""
    while await session.fetch(_EXPIRE_KEYS):
        pass


async def forget_removed(session: Session) -> None:
    """Drop what is stored for webhooks that are gone, in small steps; it would keep its days from being dropped."""
    while await session.fetch(_FORGET_REMOVED):
        pass


async def _names(session: Session, table: str) -> set[str]:
    return {row["name"] for row in await session.fetch(_EXISTING, table)}


def _name(table: str, day: date) -> str:
    return f"{table}_{day:%Y%m%d}"


def _bounds(day: date) -> tuple[str, str]:
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    return floor_id(midnight), floor_id(midnight + timedelta(days=1))
