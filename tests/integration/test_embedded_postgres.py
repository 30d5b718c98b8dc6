"""The embedded PostgreSQL as a gateway meets it: created, shared, killed, come upon by the next one."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import stat
import subprocess
import sys
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from gateway.errors import GatewayError
from gateway.store import embedded
from gateway.store.embedded import EmbeddedPostgres
from gateway.store.locks import FileLock
from gateway.store.postmaster import PidFile

USER = """
import asyncio, os, signal, sys
from pathlib import Path
from gateway.store.embedded import EmbeddedPostgres

async def main():
    async with EmbeddedPostgres(Path(sys.argv[1])) as postgres:
        print(postgres.dsn, flush=True)
        await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)

asyncio.run(main())
"""
"""A gateway of its own process: prints the dsn, and leaves when its standard input is closed."""


async def ask(dsn: str, sql: str) -> object:
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return await connection.fetchval(sql)
    finally:
        await connection.close()


async def until_answers(dsn: str, sql: str) -> object:
    async with asyncio.timeout(60):
        while True:
            try:
                return await ask(dsn, sql)
            except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
                await asyncio.sleep(0.02)


def server_of(data_dir: Path) -> PidFile:
    found = PidFile.read(data_dir / "postgres")
    assert found is not None
    return found


def server_runs(data_dir: Path) -> bool:
    """Whether any process of the server is left: they all hold this lock."""
    with FileLock(data_dir / "postgres.running.lock") as lock:
        return not lock.try_take(shared=True)


@asynccontextmanager
async def supervised(postgres: EmbeddedPostgres) -> AsyncIterator[None]:
    watch = asyncio.create_task(postgres.run())
    yield
    watch.cancel()
    await asyncio.gather(watch, return_exceptions=True)


def another_gateway(data_dir: Path, *, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    command = [*before, sys.executable, "-c", USER, str(data_dir)]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path.cwd())


def first_line(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


def let_go(process: subprocess.Popen[str]) -> None:
    process.communicate(timeout=60)


@pytest.fixture
def data_dir(tmp_path: Path) -> Iterator[Path]:
    """A data folder as root and users have it, closed to everybody else; whatever a test leaves running is ended."""
    folder = tmp_path / "gw"
    yield folder
    found = PidFile.read(folder / "postgres")
    if found is not None and found.names_a_server_of(folder / "postgres"):
        os.kill(found.pid, signal.SIGQUIT)


async def test_a_first_start_creates_a_durable_utf8_database_behind_a_private_socket(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir) as postgres:
        for setting, value in {
            "server_encoding": "UTF8",
            "data_checksums": "on",
            "fsync": "on",
            "full_page_writes": "on",
            "synchronous_commit": "on",
            "listen_addresses": "",
        }.items():
            assert await ask(postgres.dsn, f"SHOW {setting}") == value
        assert await ask(postgres.dsn, "SELECT datcollate FROM pg_database WHERE datname = 'gateway'") == "C"
        assert stat.S_IMODE(server_of(data_dir).socket_folder.stat().st_mode) == 0o700


async def test_what_was_written_is_there_after_a_stop_and_a_start(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir) as postgres:
        await ask(postgres.dsn, "CREATE TABLE kept AS SELECT 7 AS n")
    assert not server_runs(data_dir)
    async with EmbeddedPostgres(data_dir) as postgres:
        assert await ask(postgres.dsn, "SELECT n FROM kept") == 7


async def test_a_killed_server_comes_back_at_the_same_address_with_what_was_committed(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir) as postgres, supervised(postgres):
        dsn = postgres.dsn
        await ask(dsn, "CREATE TABLE kept AS SELECT 7 AS n")
        for _ in range(3):
            os.kill(server_of(data_dir).pid, signal.SIGKILL)
            assert await until_answers(dsn, "SELECT n FROM kept") == 7


async def test_a_restart_waits_for_what_a_killed_server_has_left_behind(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir) as postgres:
        left = await asyncpg.connect(postgres.dsn)
        backend = left.get_server_pid()
        os.kill(backend, signal.SIGSTOP)
        os.kill(server_of(data_dir).pid, signal.SIGKILL)
        async with supervised(postgres):
            await asyncio.sleep(0.3)  # time in which a restart that did not wait would fail or, worse, succeed
            assert server_runs(data_dir)
            os.kill(backend, signal.SIGCONT)
            assert await until_answers(postgres.dsn, "SELECT 1") == 1
        left.terminate()


async def test_a_server_that_was_shut_down_by_hand_is_started_again(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir) as postgres, supervised(postgres):
        first = server_of(data_dir).pid
        os.kill(first, signal.SIGINT)
        async with asyncio.timeout(60):
            while (found := PidFile.read(data_dir / "postgres")) is None or found.pid == first:
                await asyncio.sleep(0.02)
        assert await until_answers(postgres.dsn, "SELECT 1") == 1


async def test_of_two_gateways_on_one_folder_the_last_one_stops_the_server(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir) as first:
        pid = server_of(data_dir).pid
        async with EmbeddedPostgres(data_dir) as second:
            assert (second.dsn, server_of(data_dir).pid) == (first.dsn, pid)
        assert await ask(first.dsn, "SELECT 1") == 1
    assert not server_runs(data_dir)


async def test_gateways_that_start_at_once_get_one_server(data_dir: Path) -> None:
    servers = [EmbeddedPostgres(data_dir) for _ in range(4)]
    await asyncio.gather(*(server.__aenter__() for server in servers))
    try:
        assert len({await ask(server.dsn, "SELECT pg_postmaster_start_time()::text") for server in servers}) == 1
    finally:
        await asyncio.gather(*(server.__aexit__(None, None, None) for server in servers))
    assert not server_runs(data_dir)


async def test_two_watchers_of_one_killed_server_start_it_once(data_dir: Path) -> None:
    first, second = EmbeddedPostgres(data_dir), EmbeddedPostgres(data_dir)
    async with first, second, supervised(first), supervised(second):
        os.kill(server_of(data_dir).pid, signal.SIGKILL)
        assert await until_answers(first.dsn, "SELECT 1") == 1
        assert first.dsn == second.dsn


async def test_the_server_survives_a_killed_gateway_and_the_next_one_attaches(data_dir: Path) -> None:
    killed = another_gateway(data_dir)
    dsn = first_line(killed)
    pid = server_of(data_dir).pid
    killed.kill()
    let_go(killed)
    assert await ask(dsn, "SELECT 1") == 1
    async with EmbeddedPostgres(data_dir) as postgres:
        assert (postgres.dsn, server_of(data_dir).pid) == (dsn, pid)
    assert not server_runs(data_dir)


async def test_ctrl_c_in_the_terminal_does_not_reach_the_server(data_dir: Path) -> None:
    gateway = another_gateway(data_dir)
    first_line(gateway)
    pid = server_of(data_dir).pid
    assert os.getsid(pid) != os.getsid(gateway.pid)
    let_go(gateway)


@pytest.mark.parametrize("after_s", [0.05, 0.15, 0.25, 0.35, 0.45])
async def test_a_gateway_killed_while_it_creates_the_database_leaves_nothing_half_done(
    data_dir: Path, after_s: float
) -> None:
    killed = another_gateway(data_dir)
    async with asyncio.timeout(60):
        while not (data_dir / "postgres.new").exists() and killed.poll() is None:
            await asyncio.sleep(0.005)
    await asyncio.sleep(after_s)  # somewhere inside: the point of the test is that it does not matter where
    killed.kill()
    let_go(killed)
    async with EmbeddedPostgres(data_dir) as postgres:
        assert await ask(postgres.dsn, "SELECT current_database()::text") == "gateway"
    assert not (data_dir / "postgres.new").exists()


async def test_the_remains_of_an_earlier_creation_are_cleared_away(data_dir: Path) -> None:
    (data_dir / "postgres.new" / "base").mkdir(parents=True)
    (data_dir / "postgres.new" / "PG_VERSION").write_text("18\n")
    async with EmbeddedPostgres(data_dir) as postgres:
        assert await ask(postgres.dsn, "SELECT 1") == 1


@pytest.mark.parametrize("stranger", ["own", "other"])
async def test_a_pid_file_that_names_another_process_by_now_does_not_stop_a_start(
    data_dir: Path, stranger: str
) -> None:
    async with EmbeddedPostgres(data_dir):
        lines = (data_dir / "postgres" / "postmaster.pid").read_text().splitlines()
    lines[0] = str(os.getpid() if stranger == "own" else 1)
    (data_dir / "postgres" / "postmaster.pid").write_text("\n".join(lines) + "\n")
    async with EmbeddedPostgres(data_dir) as postgres:
        assert await ask(postgres.dsn, "SELECT 1") == 1


@pytest.mark.parametrize("content", ["", "x", "1\n/a\n", "\0" * 80], ids=["empty", "bogus", "short", "zeros"])
async def test_a_pid_file_that_a_power_cut_damaged_does_not_stop_a_start(data_dir: Path, content: str) -> None:
    async with EmbeddedPostgres(data_dir):
        pass
    (data_dir / "postgres" / "postmaster.pid").write_text(content)
    async with EmbeddedPostgres(data_dir) as postgres:
        assert await ask(postgres.dsn, "SELECT 1") == 1


async def test_a_data_folder_with_a_long_path_gets_a_socket_elsewhere_and_is_found_again(tmp_path: Path) -> None:
    data_dir = tmp_path / ("long-" * 20) / ("longer-" * 20)
    async with EmbeddedPostgres(data_dir) as first, supervised(first):
        socket_folder = server_of(data_dir).socket_folder
        assert data_dir not in socket_folder.parents
        async with EmbeddedPostgres(data_dir) as second:
            assert second.dsn == first.dsn
        os.kill(server_of(data_dir).pid, signal.SIGKILL)
        assert await until_answers(first.dsn, "SELECT 1") == 1
    assert not socket_folder.exists()


async def test_a_data_folder_with_awkward_characters_works(tmp_path: Path) -> None:
    data_dir = tmp_path / "a b,'c' \"d\" $HOME é %41"
    async with EmbeddedPostgres(data_dir) as postgres:
        assert await ask(postgres.dsn, "SELECT 1") == 1


async def test_a_start_that_fails_shows_what_the_server_said(data_dir: Path) -> None:
    async with EmbeddedPostgres(data_dir):
        pass
    (data_dir / "postgres" / "PG_VERSION").write_text("12\n")
    with pytest.raises(GatewayError, match=r"(?s)did not start.*incompatible with server"):
        await EmbeddedPostgres(data_dir).__aenter__()
    assert not server_runs(data_dir)


async def test_a_data_folder_that_cannot_be_one_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(GatewayError, match=r"GATEWAY_DATA_DIR"):
        await EmbeddedPostgres(tmp_path / "file").__aenter__()


async def test_a_server_that_does_not_end_in_time_is_ended_harder(
    data_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(embedded, "STOP_STEPS", ((signal.SIGINT, 0.2), (signal.SIGQUIT, 0.2), (signal.SIGKILL, 5.0)))
    async with EmbeddedPostgres(data_dir):
        os.kill(server_of(data_dir).pid, signal.SIGSTOP)
    assert not server_runs(data_dir)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_as_root_the_server_is_another_user_and_no_folder_above_it_is_opened_up() -> None:
    home = Path("/root") / f".gateway-test-{os.getpid()}"
    home.mkdir(mode=0o700)
    before = [stat.S_IMODE(folder.stat().st_mode) for folder in (Path("/root"), home)]
    try:
        async with EmbeddedPostgres(home / "gw") as postgres:
            assert await ask(postgres.dsn, "SELECT 1") == 1
            assert Path(f"/proc/{server_of(home / 'gw').pid}").stat().st_uid != 0
        assert [stat.S_IMODE(folder.stat().st_mode) for folder in (Path("/root"), home)] == before
        assert {path.stat().st_uid for path in (home, home / "gw")} == {0}
    finally:
        shutil.rmtree(home)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_an_ordinary_user_has_a_database_that_root_can_then_use_and_give_back() -> None:
    nobody = 65_534
    folder = Path(tempfile.mkdtemp())
    os.chown(folder, nobody, nobody)
    # The capability is for this interpreter, which may lie in a folder of root's.
    right_of_way = ("--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--securebits=+no_setuid_fixup")
    as_nobody = ("setpriv", f"--reuid={nobody}", f"--regid={nobody}", "--clear-groups", *right_of_way)
    try:
        for _ in range(2):
            gateway = another_gateway(folder / "gw", before=as_nobody)
            assert await ask(first_line(gateway), "SELECT 1") == 1
            assert Path(f"/proc/{server_of(folder / 'gw').pid}").stat().st_uid == nobody
            let_go(gateway)
            async with EmbeddedPostgres(folder / "gw") as postgres:
                assert await ask(postgres.dsn, "SELECT 1") == 1
                assert Path(f"/proc/{server_of(folder / 'gw').pid}").stat().st_uid == nobody
        assert not server_runs(folder / "gw")
    finally:
        shutil.rmtree(folder)
