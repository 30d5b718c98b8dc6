"""Owns the version of the schema: what it is, what it should be, and the way from one to the other.

All pending versions are applied in one transaction under an advisory lock, so that of two processes
that start at once the second finds nothing to do, and a failed upgrade leaves the database as it was.
"""

from __future__ import annotations

import io
from pathlib import Path
from urllib.parse import urlsplit

import asyncpg

from gateway.errors import GatewayError, Unavailable

CONNECT_TIMEOUT_S = 10.0
LOCK_TIMEOUT_S = 120
"""How long to wait for another process that migrates, or for a lock that somebody holds on a table."""
LOCK_KEY = 0x67617465776179  # "gateway" in ASCII: no other program's advisory lock by chance


def folder() -> Path:
    """Where the migrations are: inside an installed package, or at the top of a clone."""
    package = Path(__file__).parent.parent
    for candidate in (package / "_migrations", package.parent / "migrations"):
        if (candidate / "env.py").is_file():
            return candidate
    raise GatewayError(f"the migrations are missing beside {package}: install the package again")


def versions() -> list[str]:
    """The versions that this program knows, oldest first: the numbers that their files begin with."""
    return sorted(path.name.partition("_")[0] for path in (folder() / "versions").glob("*.sql"))


async def current(dsn: str) -> str | None:
    """The database's version, None where there is no schema yet. Raises `Unavailable`."""
    connection = await _connect(dsn)
    try:
        return await _version(connection)
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_S)


async def migrate(dsn: str) -> list[str]:
    """Bring the database to the newest version; return the versions applied, oldest first, [] for none.

    Raises `Unavailable` where the database cannot be reached, and `GatewayError` where it is newer than
    this program or refuses a statement.
    """
    connection = await _connect(dsn)
    try:
        if not _pending(await _version(connection)):
            return []
        async with connection.transaction():
            await connection.execute(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT_S}s'")
            await connection.execute("SELECT pg_advisory_xact_lock($1)", LOCK_KEY)
            version = await _version(connection)
            pending = _pending(version)
            if pending:
                await connection.execute(_script(version, pending[-1]))
            return pending
    except asyncpg.PostgresConnectionError as error:
        raise Unavailable(f"the database went away while its schema was upgraded: {error}") from error
    except asyncpg.PostgresError as error:
        raise GatewayError(f"the database's schema could not be upgraded and is unchanged: {error}") from error
    finally:
        await connection.close(timeout=CONNECT_TIMEOUT_S)


def _pending(version: str | None) -> list[str]:
    known = versions()
    if version is None:
        return known
    if version not in known:
        raise GatewayError(
            f"the database's schema has version {version}, this program knows up to {known[-1]}: "
            "start the newer program, or restore a backup from before its first start"
        )
    return known[known.index(version) + 1 :]


def _script(version: str | None, target: str) -> str:
    """The SQL from one version to another, as Alembic writes it, with the change of `alembic_version`."""
    # Imported only where there is something to do: it takes longer than the rest of a start.
    from alembic import command
    from alembic.config import Config

    script = io.StringIO()
    config = Config(output_buffer=script)
    config.set_main_option("script_location", str(folder()).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    command.upgrade(config, f"{version or 'base'}:{target}", sql=True)
    return script.getvalue()


async def _version(connection: asyncpg.Connection[asyncpg.Record]) -> str | None:
    # Not to_regclass: inside a transaction it may answer from before the wait for the lock.
    there = "SELECT FROM pg_tables WHERE schemaname = current_schema() AND tablename = 'alembic_version'"
    if not await connection.fetch(there):
        return None
    version: str | None = await connection.fetchval("SELECT version_num FROM alembic_version")
    return version


async def _connect(dsn: str) -> asyncpg.Connection[asyncpg.Record]:
    try:
        return await asyncpg.connect(
            dsn, timeout=CONNECT_TIMEOUT_S, server_settings={"application_name": "gateway migrate"}
        )
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        named = " (GATEWAY_DATABASE_URL)" if urlsplit(dsn).netloc else ""  # the embedded one has no setting to mend
        raise Unavailable(f"the database cannot be reached{named}: {str(error) or type(error).__name__}") from error
