"""Brings every stored credential under the newest key, so that the older ones are needed no longer.

Invariant: all in one transaction; a credential is sealed anew for the row that it was opened for, and one that cannot
be opened stops the start before anything was changed.
"""

from __future__ import annotations

from dataclasses import dataclass

import structlog

from gateway.store.reading import Connection, Database
from gateway.store.secrets import SecretBox

log = structlog.get_logger(__name__)


@dataclass(frozen=True, slots=True)
class Column:
    """A column of sealed values; what they are bound to begins with `kind`."""

    kind: str
    table: str
    name: str


COLUMNS = (
    Column("access", "accesses", "secret"),
    Column("webhook", "webhooks", "secret"),
    Column("webhook", "webhooks", "old_secret"),
)

# Locked, so that whoever enters a credential meanwhile comes after this.
_SEALED = "SELECT id::text, {name} AS sealed FROM {table} WHERE {name} IS NOT NULL ORDER BY id FOR UPDATE"
_RESEAL = "UPDATE {table} SET {name} = $2 WHERE id = $1"
# Ignored wherever it is read, and perhaps under a key that is long gone.
_FORGET_OVERLAPPED = "UPDATE webhooks SET old_secret = NULL, old_secret_until = NULL WHERE old_secret_until <= now()"


async def reseal(database: Database, box: SecretBox) -> None:
    """Does nothing where there is one key. Raises `SettingsError` where the key of a credential is missing."""
    if not box.has_older_keys:
        return
    async with database.writing() as connection:
        await connection.execute(_FORGET_OVERLAPPED)
        changed = sum([await _reseal_column(connection, column, box) for column in COLUMNS])
    log.info("credentials_resealed", credentials=changed, detail="all are under the newest key; older ones may go")


async def _reseal_column(connection: Connection, column: Column, box: SecretBox) -> int:
    changed = 0
    for row in await connection.fetch(_SEALED.format(table=column.table, name=column.name)):
        if box.is_current(row["sealed"]):
            continue
        bound_to = f"{column.kind}:{row['id']}"
        sealed = box.seal(box.open(row["sealed"], row=bound_to), row=bound_to)
        await connection.execute(_RESEAL.format(table=column.table, name=column.name), row["id"], sealed)
        changed += 1
    return changed
