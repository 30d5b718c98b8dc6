"""The audit: who changed what, when. Rows are added with the change itself and never altered.

Invariant: an audit row is committed in the transaction of the change that it tells of, so there is
neither a change without its row nor a row without its change.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import asyncpg
import orjson

# One change. Its time is in its id, which is a UUIDv7.
INSERT = """
INSERT INTO audit (id, tenant_id, actor, action, resource, detail) VALUES ($1, $2, $3, $4, $5, $6::jsonb)
"""

# A page, newest first: of one tenant or, with NULL, of all; `$2` is the last id of the page before.
PAGE = """
SELECT id::text, tenant_id, actor, action, resource, detail::text AS detail
FROM audit
WHERE ($1::integer IS NULL OR tenant_id = $1) AND ($2::uuid IS NULL OR id < $2)
ORDER BY id DESC
LIMIT $3
"""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One change: `actor` did `action` (`webhook.create`) to `resource` (an id). `detail` holds no secret.

    `tenant_id` None is a change that concerns no single tenant.
    """

    id: str
    tenant_id: int | None
    actor: str
    action: str
    resource: str
    detail: Mapping[str, object] = field(default_factory=dict)


async def insert(connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy, entry: AuditEntry) -> None:
    detail = orjson.dumps(entry.detail).decode()
    await connection.execute(INSERT, entry.id, entry.tenant_id, entry.actor, entry.action, entry.resource, detail)


async def read_page(
    connection: asyncpg.Connection | asyncpg.pool.PoolConnectionProxy,
    *,
    tenant_id: int | None,
    before_id: str | None,
    limit: int,
) -> Sequence[AuditEntry]:
    """The newest `limit` entries that are older than `before_id`."""
    rows = await connection.fetch(PAGE, tenant_id, before_id, limit)
    return [
        AuditEntry(
            id=row["id"],
            tenant_id=row["tenant_id"],
            actor=row["actor"],
            action=row["action"],
            resource=row["resource"],
            detail=orjson.loads(row["detail"]),
        )
        for row in rows
    ]
