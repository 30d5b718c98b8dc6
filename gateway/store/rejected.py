"""What was refused with 422: kept for an operator to see, mend and resubmit.

Invariant: a switch that pushes nothing but nonsense fills neither the disk nor the table. A body is kept up to
`BODY_LIMIT_BYTES`, and of each tenant only the newest, up to `ROWS_LIMIT` and `BYTES_LIMIT`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import asyncpg
import orjson
import structlog

from gateway.errors import FieldError
from gateway.ids import IdSource
from gateway.store import audit
from gateway.store.audit import AuditEntry
from gateway.store.reading import Connection, Database

BODY_LIMIT_BYTES = 1024 * 1024
TYPE_LIMIT_CHARS = 200
ROWS_LIMIT = 100_000
BYTES_LIMIT = 256 * 1024 * 1024
TRIM_EVERY = 200
"""How many are kept between two looks at the limits; so much may a tenant exceed them."""

log = structlog.get_logger(__name__)

KEEP = "INSERT INTO rejected (id, tenant_id, type, errors, body) VALUES ($1, $2, $3, $4::jsonb, $5)"

# Drops the oldest of one tenant past either limit. The length of a body is known without reading it.
TRIM = """
WITH sized AS (
    SELECT id, row_number() OVER newest AS place, sum(octet_length(body)) OVER newest AS bytes
    FROM rejected WHERE tenant_id IS NOT DISTINCT FROM $1
    WINDOW newest AS (ORDER BY id DESC ROWS UNBOUNDED PRECEDING)
)
DELETE FROM rejected WHERE id IN (SELECT id FROM sized WHERE place > $2 OR bytes > $3)
"""

PAGE = """
SELECT id::text, tenant_id, type, errors::text AS errors, body FROM rejected
WHERE ($1::integer IS NULL OR tenant_id = $1) AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC LIMIT $3
"""

ONE = """
SELECT id::text, tenant_id, type, errors::text AS errors, body FROM rejected
WHERE id = $1 AND ($2::integer IS NULL OR tenant_id = $2)
"""

DELETE = "DELETE FROM rejected WHERE id = $1"


@dataclass(frozen=True, slots=True)
class Rejection:
    """`type` and `body` are as they were sent; `tenant_id` None where the push named no tenant that is known."""

    id: str
    tenant_id: int | None
    type: str | None
    errors: tuple[FieldError, ...]
    body: bytes


class RejectedStore:
    """Owns the table `rejected`."""

    def __init__(
        self,
        database: Database,
        *,
        ids: IdSource,
        rows_limit: int = ROWS_LIMIT,
        bytes_limit: int = BYTES_LIMIT,
        trim_every: int = TRIM_EVERY,
    ) -> None:
        self._database = database
        self._ids = ids
        self._rows_limit = rows_limit
        self._bytes_limit = bytes_limit
        self._trim_every = trim_every
        self._kept = 0

    async def keep(self, tenant_id: int | None, type: str | None, errors: Sequence[FieldError], body: bytes) -> str:
        """Keep what was refused; answers its id. Raises `Unavailable`."""
        rejection_id = self._ids.next()
        shown = None if type is None else type.replace("\0", "")[:TYPE_LIMIT_CHARS]
        async with self._database.writing() as connection:
            await connection.execute(KEEP, rejection_id, tenant_id, shown, _encode(errors), body[:BODY_LIMIT_BYTES])
            self._kept += 1
            if self._kept % self._trim_every == 0:
                await self._trim(connection, tenant_id)
        return rejection_id

    async def _trim(self, connection: Connection, tenant_id: int | None) -> None:
        status = await connection.execute(TRIM, tenant_id, self._rows_limit, self._bytes_limit)
        dropped = int(status.rpartition(" ")[2])
        if dropped:
            log.warning("rejected_dropped", tenant_id=tenant_id, dropped=dropped, rows_limit=self._rows_limit)

    async def page(self, *, tenant_id: int | None, before_id: str | None, limit: int) -> list[Rejection]:
        """The newest `limit` that are older than `before_id`."""
        async with self._database.reading() as connection:
            return [_rejection(row) for row in await connection.fetch(PAGE, tenant_id, before_id, limit)]

    async def one(self, rejection_id: str, tenant_id: int | None) -> Rejection | None:
        async with self._database.reading() as connection:
            row = await connection.fetchrow(ONE, rejection_id, tenant_id)
        return None if row is None else _rejection(row)

    async def remove(self, rejection_id: str, entry: AuditEntry) -> None:
        """Take it off the list, and tell the audit who did and why."""
        async with self._database.writing() as connection:
            await connection.execute(DELETE, rejection_id)
            await audit.insert(connection, entry)


def _encode(errors: Sequence[FieldError]) -> str:
    data = [{"pointer": error.pointer, "detail": error.detail} for error in errors]
    return orjson.dumps(data).decode().replace("\\u0000", "")  # jsonb cannot hold it


def _rejection(row: asyncpg.Record) -> Rejection:
    errors = tuple(FieldError(each["pointer"], each["detail"]) for each in orjson.loads(row["errors"]))
    return Rejection(row["id"], row["tenant_id"], row["type"], errors, row["body"])
