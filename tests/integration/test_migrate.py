"""Schema versions, on a real PostgreSQL."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import asyncpg
import pytest

from gateway.errors import GatewayError, Unavailable
from gateway.store import migrate


async def test_an_empty_database_gets_every_version_once(empty_database: str) -> None:
    assert await migrate.current(empty_database) is None
    assert await migrate.migrate(empty_database) == migrate.versions()
    assert await migrate.current(empty_database) == migrate.versions()[-1]
    assert await migrate.migrate(empty_database) == []


async def test_the_schema_is_there_afterwards(empty_database: str) -> None:
    await migrate.migrate(empty_database)
    connection = await asyncpg.connect(empty_database)
    assert await connection.fetchval("SELECT count(*) FROM shards") == 64
    assert await connection.fetchval("SELECT name FROM tenants") == "default"
    await connection.close()


async def test_two_processes_that_start_at_once_do_not_clash(empty_database: str) -> None:
    applied = await asyncio.gather(*(migrate.migrate(empty_database) for _ in range(4)))
    assert sorted(applied) == [[], [], [], migrate.versions()]


async def test_a_database_newer_than_the_program_is_refused(empty_database: str) -> None:
    await migrate.migrate(empty_database)
    connection = await asyncpg.connect(empty_database)
    await connection.execute("UPDATE alembic_version SET version_num = '9999'")
    await connection.close()
    with pytest.raises(GatewayError, match=r"version 9999, this program knows up to \d{4}"):
        await migrate.migrate(empty_database)


async def test_an_upgrade_that_fails_leaves_the_database_as_it_was(empty_database: str) -> None:
    connection = await asyncpg.connect(empty_database)
    await connection.execute("CREATE TABLE replays ()")  # the last table of the first version is in the way
    with pytest.raises(GatewayError, match='could not be upgraded and is unchanged: relation "replays" already exists'):
        await migrate.migrate(empty_database)
    assert await connection.fetchval("SELECT to_regclass('events')") is None
    assert await migrate.current(empty_database) is None
    await connection.close()


async def test_a_database_that_is_away_is_unavailable(unused_tcp_port: int) -> None:
    with pytest.raises(Unavailable, match=r"cannot be reached \(GATEWAY_DATABASE_URL\): "):
        await migrate.current(f"postgresql://nobody@127.0.0.1:{unused_tcp_port}/none")


async def test_a_start_with_nothing_to_do_does_not_load_alembic(empty_database: str) -> None:
    await migrate.migrate(empty_database)
    program = (
        "import asyncio, sys; from gateway.store import migrate;"
        f"assert asyncio.run(migrate.migrate({empty_database!r})) == []; sys.exit('alembic' in sys.modules)"
    )
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program)
    assert await process.wait() == 0


def test_each_version_has_its_sql_beside_it_and_follows_the_one_before() -> None:
    scripts = sorted((migrate.folder() / "versions").glob("[0-9]*.py"))
    assert [path.name[:4] for path in scripts] == migrate.versions()
    for before, path in zip(["None", *(f'"{version}"' for version in migrate.versions())], scripts, strict=False):
        text = path.read_text()
        assert f'revision = "{path.name[:4]}"' in text
        assert f"down_revision = {before}" in text


def test_an_installed_package_brings_its_own_migrations(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    package = tmp_path / "gateway"
    (package / "_migrations").mkdir(parents=True)
    (package / "_migrations" / "env.py").touch()
    (package / "store").mkdir()
    monkeypatch.setattr(migrate, "__file__", str(package / "store" / "migrate.py"))
    assert migrate.folder() == package / "_migrations"
