"""What the tables need from time to time: partitions ahead, old days gone, expired keys forgotten, rows counted."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from time import monotonic

import structlog

from gateway.errors import Unavailable
from gateway.log import BadRow
from gateway.store.partitions import drop_partitions, expire_keys, forget_removed, make_partitions
from gateway.store.session import Session

COUNT_EVERY_S = 10.0
TIDY_EVERY_S = 600.0
TIMEOUT_S = 60.0
PREPARE_S = 30.0
"""How long a start waits for what stands in the way of its partitions, such as a VACUUM that an operator runs."""
PREPARE_AGAIN_S = 0.2

# As text, since servers before version 18 know no least uuid.
_UNSETTLED = """
SELECT webhook_id::text, state, count(*) AS rows, min(event_id::text) AS oldest_id FROM deliveries
GROUP BY webhook_id, state
"""

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Unsettled:
    """How many deliveries of one webhook are stored in one state, and the id of the oldest one's event."""

    webhook_id: str
    state: str
    deliveries: int
    oldest_id: str


class Maintenance:
    """One loop, on a connection of its own."""

    def __init__(self, dsn: str, *, retention_days: int) -> None:
        self._session = Session(dsn, name="gateway maintenance", timeout_s=TIMEOUT_S)
        self._retention = timedelta(days=retention_days)
        self._unsettled: Sequence[Unsettled] = ()

    def unsettled(self) -> Mapping[str, int]:
        """Stored deliveries by state, as counted a few seconds ago."""
        counts: dict[str, int] = {}
        for each in self._unsettled:
            counts[each.state] = counts.get(each.state, 0) + each.deliveries
        return counts

    def unsettled_by_webhook(self) -> Sequence[Unsettled]:
        """The same, by webhook and state."""
        return self._unsettled

    async def prepare(self) -> None:
        """Make the partitions that accepting needs now. Raises `Unavailable` where that cannot be done for long."""
        give_up_at = monotonic() + PREPARE_S
        while True:
            try:
                await make_partitions(self._session, datetime.now(UTC).date())
                return
            except Unavailable as error:
                if monotonic() >= give_up_at:
                    raise
                log.warning("partitions_wait", error=str(error))
            await asyncio.sleep(PREPARE_AGAIN_S)

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
                    self._unsettled = [
                        Unsettled(row["webhook_id"], row["state"], row["rows"], row["oldest_id"]) for row in rows
                    ]
                except (Unavailable, BadRow) as error:
                    log.warning("maintenance_failed", error=str(error))
                await asyncio.sleep(COUNT_EVERY_S)
        finally:
            await self._session.close()

    async def _tidy(self) -> None:
        today = datetime.now(UTC).date()
        await make_partitions(self._session, today)
        await forget_removed(self._session)
        await drop_partitions(self._session, today - self._retention)
        await expire_keys(self._session)
