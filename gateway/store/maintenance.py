"""What the tables need from time to time: partitions ahead, old days gone, expired keys forgotten, rows counted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from time import monotonic

import structlog

from gateway.errors import Unavailable
from gateway.log import BadRow
from gateway.store.partitions import drop_partitions, expire_keys, make_partitions
from gateway.store.session import Session

COUNT_EVERY_S = 10.0
TIDY_EVERY_S = 600.0
TIMEOUT_S = 60.0

_UNSETTLED = "SELECT state, count(*) AS rows FROM deliveries GROUP BY state"

log = structlog.get_logger(__name__)


class Maintenance:
    """One loop, on a connection of its own."""

    def __init__(self, dsn: str, *, retention_days: int) -> None:
        self._session = Session(dsn, name="gateway maintenance", timeout_s=TIMEOUT_S)
        self._retention = timedelta(days=retention_days)
        self._unsettled: Mapping[str, int] = {}

    def unsettled(self) -> Mapping[str, int]:
        """Stored deliveries by state, as counted a few seconds ago."""
        return self._unsettled

    async def prepare(self) -> None:
        """Make the partitions that accepting needs now."""
        await make_partitions(self._session, datetime.now(UTC).date())

    async def run(self) -> None:
        """Until cancelled; the database being away is waited out."""
        tidied_at = float("-inf")
        try:
            while True:
                try:
                    if monotonic() - tidied_at >= TIDY_EVERY_S:
                        await self._tidy()
                        tidied_at = monotonic()
                    rows = await self._session.fetch(_UNSETTLED)
                    self._unsettled = {row["state"]: row["rows"] for row in rows}
                except (Unavailable, BadRow) as error:
                    log.warning("maintenance_failed", error=str(error))
                await asyncio.sleep(COUNT_EVERY_S)
        finally:
            await self._session.close()

    async def _tidy(self) -> None:
        today = datetime.now(UTC).date()
        await make_partitions(self._session, today)
        await drop_partitions(self._session, today - self._retention)
        await expire_keys(self._session)
