"""Refuses a server on which a commit may be lost: 202 would not mean committed."""

from __future__ import annotations

from collections.abc import Collection

import asyncpg

from gateway.errors import GatewayError

MINIMUM_VERSION = 150_000

_SETTINGS = """
SELECT name, setting FROM pg_settings WHERE name IN ('fsync', 'full_page_writes', 'synchronous_commit')
"""


async def check_server(dsn: str, *, allowed: Collection[str]) -> None:
    """Raises `GatewayError` for a server before 15, or with a setting off that is not `allowed` by name."""
    connection = await asyncpg.connect(dsn, timeout=10.0)
    try:
        version = await connection.fetchval("SELECT current_setting('server_version_num')::int")
        settings = {row["name"]: row["setting"] for row in await connection.fetch(_SETTINGS)}
    finally:
        await connection.close(timeout=5.0)
    if version < MINIMUM_VERSION:
        raise GatewayError(f"The database is PostgreSQL {version // 10_000}; 15 or newer is needed.")
    for name, value in sorted(settings.items()):
        if value == "off" and name not in allowed:
            raise GatewayError(
                f"The database has {name} = off: accepted events could be lost. Switch it on, or set"
                f" GATEWAY_DATABASE_ALLOW_UNSAFE={name} if this database may lose them."
            )
