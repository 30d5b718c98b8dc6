"""The embedded PostgreSQL: created once, shared by the gateways of one data folder, started again when it dies.

Three locks in the data folder carry it. `postgres.start.lock` serialises creating, starting and stopping;
`postgres.users.lock` is held, shared, by every gateway that uses the server; `postgres.running.lock` is held by
the server's own processes. Invariant: the server is stopped by the last that uses it, under the first lock.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import tempfile
import time
from pathlib import Path
from types import TracebackType
from urllib.parse import quote

import structlog

from gateway.errors import GatewayError
from gateway.store.durable import sync_folder
from gateway.store.locks import RETRY_S, FileLock
from gateway.store.postmaster import PID_FILE, READY, PidFile, arguments, programs, run_tool, spawn
from gateway.store.server_log import ServerLog
from gateway.store.server_user import ServerUser

DATABASE = "gateway"
SUPERUSER = "gateway"
SOCKET_NAME = ".s.PGSQL.5432"
SOCKET_PATH_BYTES = 107
"""sun_path of unix(7), less its final NUL."""
CREATE_LIMIT_S = 120.0
START_LIMIT_S = 300.0
"""Long, because a start after a crash replays up to `max_wal_size` of log."""
STOP_STEPS = ((signal.SIGINT, 5.0), (signal.SIGQUIT, 3.0), (signal.SIGKILL, 2.0))
"""Fast shutdown; then without a checkpoint, which the next start makes up for; then by force. Seconds each."""
LEAVE_LIMIT_S = 5.0
DEATH_CHECK_S = 0.05
LOG_CHECK_S = 60.0
RESTART_PAUSE_LIMIT_S = 5.0

log = structlog.get_logger(__name__)


class EmbeddedPostgres:
    """`async with EmbeddedPostgres(data_dir) as postgres:` has a server at `postgres.dsn` that accepts connections.

    While `run()` runs, a server that dies is started again at the same `dsn`. Raises `GatewayError` with the end
    of the server's log where it does not start.
    """

    def __init__(self, data_dir: Path) -> None:
        self._data_dir = data_dir.absolute()
        self._socket_folder: Path | None = None
        self._child: int | None = None
        self._resources = contextlib.AsyncExitStack()

    @property
    def dsn(self) -> str:
        assert self._socket_folder is not None, "the server has not been started"
        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={quote(str(self._socket_folder), safe='')}"

    async def __aenter__(self) -> EmbeddedPostgres:
        try:
            self._data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._data_dir = self._data_dir.resolve()
            async with contextlib.AsyncExitStack() as stack:
                users = stack.enter_context(self._lock("users"))
                stack.push_async_callback(self._leave, users)
                await self._start(users)
                self._resources = stack.pop_all()
        except OSError as error:
            raise GatewayError(f"The data folder {self._data_dir} (GATEWAY_DATA_DIR) is of no use: {error}") from error
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._resources.aclose()

    async def run(self) -> None:
        """Start the server again whenever it dies, for ever; a start that fails is tried again, ever less often."""
        pause_s = 0.0
        while True:
            await self._died()
            log.error("postgres_died", folder=str(self._folder))
            try:
                await self._start()
                pause_s = 0.0
                log.info("postgres_restarted", folder=str(self._folder))
            except (GatewayError, OSError) as error:
                log.error("postgres_not_restarted", error=str(error))
                pause_s = min(2 * pause_s + 0.1, RESTART_PAUSE_LIMIT_S)
                await asyncio.sleep(pause_s)

    # ── start ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _start(self, users: FileLock | None = None) -> None:
        """Make sure that there is a database and a server for it; `users` is joined before anybody could stop it."""
        with self._lock("start") as start, self._lock("running") as running:
            await start.take(within_s=START_LIMIT_S)
            if users is not None:
                await users.take(shared=True, within_s=LEAVE_LIMIT_S)
            user = ServerUser.of(self._folder)
            if not self._folder.exists():
                await self._create(user, start)
            deadline = time.monotonic() + START_LIMIT_S
            while not running.try_take():
                if self._attached():
                    return
                if time.monotonic() >= deadline:
                    raise GatewayError(f"An earlier PostgreSQL of {self._folder} neither ends nor accepts connections.")
                self._reap()
                await asyncio.sleep(RETRY_S)
            await self._launch(user, running)

    def _attached(self) -> bool:
        """Use the server that runs, if one does and is ready; one that starts, stops or has died is waited for."""
        found = PidFile.read(self._folder)
        if found is None or found.status not in READY or not found.names_a_server_of(self._folder):
            return False
        self._socket_folder = found.socket_folder
        return True

    async def _create(self, user: ServerUser, start: FileLock) -> None:
        """Create the database beside its place and move it there whole: a kill leaves all of it or nothing."""
        new = self._data_dir / "postgres.new"
        shutil.rmtree(new, ignore_errors=True)
        new.mkdir()
        user.adopt(new)
        # Of a locale PostgreSQL needs nothing: names and keys are compared as bytes, and so the same everywhere.
        initdb = ["-D", str(new), "-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C", "--data-checksums"]
        await self._tool(user, ["initdb", *initdb], new, start)
        single = ["--single", "-D", str(new), "-c", "exit_on_error=on", "postgres"]
        await self._tool(user, ["postgres", *single], new, start, said=f"CREATE DATABASE {DATABASE};\n")
        new.rename(self._folder)
        sync_folder(self._data_dir)

    async def _tool(self, user: ServerUser, argv: list[str], folder: Path, start: FileLock, *, said: str = "") -> None:
        program = programs() / argv[0]
        command = user.command(str(program), *argv[1:], touches=(folder,))
        with tempfile.TemporaryFile() as stdin:
            stdin.write(said.encode())
            stdin.seek(0)
            await run_tool(command, stdin=stdin, lock_fd=start.fileno(), timeout_s=CREATE_LIMIT_S)

    async def _launch(self, user: ServerUser, running: FileLock) -> None:
        """Start a server; it inherits `running`, whose hold the caller then gives up."""
        found = PidFile.read(self._folder)
        if found is not None and found.names_a_server_of(self._folder):
            raise GatewayError(
                f"A PostgreSQL that the gateway has not started (process {found.pid}) runs on {self._folder}. "
                "Stop it first."
            )
        if found is not None and self._socket_folder is None:
            self._socket_folder = found.socket_folder  # kept over a crash: others may know it
        self._socket_folder = self._usable_socket_folder(user)
        # Nothing of the server that wrote these is left, else the lock were held. Their pid may by now be another
        # process, or a dead one that its parent has not asked after: PostgreSQL would take either for a server.
        (self._folder / PID_FILE).unlink(missing_ok=True)
        (self._socket_folder / f"{SOCKET_NAME}.lock").unlink(missing_ok=True)
        self._reap()
        server_log = self._server_log
        server_log.bound()
        begin_bytes = server_log.size_bytes()
        program = programs() / "postgres"
        command = user.command(
            str(program),
            *arguments(self._folder, self._socket_folder),
            touches=(self._folder, self._socket_folder),
        )
        self._child = spawn(command, log=server_log.path, lock_fd=running.fileno())
        deadline = time.monotonic() + START_LIMIT_S
        while not self._attached():
            if self._reap() or time.monotonic() >= deadline:
                raise GatewayError(f"The embedded PostgreSQL did not start. It said:\n{server_log.tail(begin_bytes)}")
            await asyncio.sleep(RETRY_S)

    def _usable_socket_folder(self, user: ServerUser) -> Path:
        """A folder of the server's user alone: the one from before, one in the data folder, or a temporary one."""
        if self._socket_folder is not None and _is_private(self._socket_folder, user):
            return self._socket_folder
        folder = self._data_dir / "postgres.socket"
        # A socket's path must be short, and in a list of hosts or folders a comma would separate.
        if len(os.fsencode(folder / SOCKET_NAME)) <= SOCKET_PATH_BYTES and not {*str(folder)} & {*',"'}:
            folder.mkdir(exist_ok=True)
        else:
            folder = Path(tempfile.mkdtemp(prefix="gateway-"))
        user.adopt(folder)
        return folder

    # ── watch ────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _died(self) -> None:
        """Return when no process of the server is left."""
        next_log_check = time.monotonic() + LOG_CHECK_S
        with self._lock("running") as running:
            while not running.try_take(shared=True):
                self._reap()
                if time.monotonic() >= next_log_check:
                    await asyncio.to_thread(self._server_log.bound)
                    next_log_check = time.monotonic() + LOG_CHECK_S
                await asyncio.sleep(DEATH_CHECK_S)

    def _reap(self) -> bool:
        """Whether the server that this process started has ended; its pid is then free again."""
        if self._child is None:
            return False
        with contextlib.suppress(ChildProcessError):
            if os.waitpid(self._child, os.WNOHANG) == (0, 0):
                return False
        self._child = None
        return True

    # ── stop ─────────────────────────────────────────────────────────────────────────────────────────────────────

    async def _leave(self, users: FileLock) -> None:
        """Stop the server if nobody else uses it."""
        with self._lock("start") as start:
            try:
                await start.take(within_s=LEAVE_LIMIT_S)
            except GatewayError:
                return  # whoever is starting it will be the last to use it
            if users.try_take():
                await self._stop()

    async def _stop(self) -> None:
        with self._lock("running") as running:
            for number, limit_s in STOP_STEPS:
                found = PidFile.read(self._folder)
                if found is not None and found.names_a_server_of(self._folder):
                    with contextlib.suppress(ProcessLookupError):
                        os.kill(found.pid, number)
                with contextlib.suppress(GatewayError):
                    await running.take(within_s=limit_s)
                    break
        self._reap()
        if self._socket_folder is not None and self._socket_folder.parent != self._data_dir:
            shutil.rmtree(self._socket_folder, ignore_errors=True)

    @property
    def _folder(self) -> Path:
        return self._data_dir / "postgres"

    @property
    def _server_log(self) -> ServerLog:
        return ServerLog(self._data_dir / "postgres.log")

    def _lock(self, name: str) -> FileLock:
        return FileLock(self._data_dir / f"postgres.{name}.lock")


def _is_private(folder: Path, user: ServerUser) -> bool:
    try:
        status = folder.lstat()
    except OSError:
        return False
    return folder.is_dir() and status.st_uid == user.uid and not status.st_mode & 0o077
