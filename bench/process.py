"""The gateway as a process: started as an operator starts it, asked over HTTP, ended politely or by `kill -9`.

Invariant: whoever closes it leaves nothing behind: neither the gateway nor the embedded PostgreSQL, which outlives a
gateway that was killed.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import asyncpg
from aiohttp import ClientError, ClientSession, ClientTimeout

from gateway.store.embedded import DATABASE, SUPERUSER
from gateway.store.postmaster import PidFile

REPOSITORY = Path(__file__).parent.parent
ADMIN_TOKEN = "bench-admin-token-0123456789abcdef"
READY_TIMEOUT_S = 60.0
STOP_TIMEOUT_S = 30.0
POLL_S = 0.01
LOG_TAIL_LINES = 12


class GatewayFailed(Exception):
    """The gateway ended, or did not become ready; the message has the end of its log."""


class Refused(Exception):
    """The gateway answered a call of its API with an error."""

    def __init__(self, status: int, body: str) -> None:
        super().__init__(f"{status}: {body[:2000]}")
        self.status = status


class Gateway:
    """One gateway on one data directory; it may be started and ended any number of times.

    `log` collects what all its lives wrote to stdout and stderr. `pid` is that of the present life. `descriptors`
    is how many files it may have open; as many as whoever starts it unless set.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        egress_ports: Iterable[int] = (),
        environment: Mapping[str, str] | None = None,
        descriptors: int | None = None,
    ) -> None:
        self.data_dir = data_dir
        self._limited = [] if descriptors is None else ["prlimit", f"--nofile={descriptors}"]
        self.log = data_dir.parent / f"{data_dir.name}.log"
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self._environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")},
            "GATEWAY_DATA_DIR": str(data_dir),
            "GATEWAY_PORT": str(self.port),
            "GATEWAY_ADMIN_TOKEN": ADMIN_TOKEN,
            "GATEWAY_EGRESS_ALLOW": "127.0.0.0/8",
            "GATEWAY_EGRESS_PORTS": ",".join(str(port) for port in (80, 443, *egress_ports)),
            "GATEWAY_LOG_FORMAT": "json",
            **(environment or {}),
        }
        self._process: asyncio.subprocess.Process | None = None
        self._session: ClientSession | None = None

    async def __aenter__(self) -> Self:
        try:
            await self.start()
        except BaseException:
            await self.close()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> float:
        """Starts it and waits until it is ready. Returns how long that took, in seconds."""
        assert not self.running
        self.data_dir.parent.mkdir(parents=True, exist_ok=True)
        started = time.monotonic()
        with self.log.open("ab") as log:
            self._process = await asyncio.create_subprocess_exec(
                *self._limited, sys.executable, "-m", "gateway.cli", "serve",
                cwd=REPOSITORY, env=self._environment, stdin=asyncio.subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        await self.wait_ready()
        return time.monotonic() - started

    async def wait_ready(self, timeout_s: float = READY_TIMEOUT_S) -> None:
        """Waits until `/readyz` says 200. `GatewayFailed` if the process ends or time runs out."""
        deadline = time.monotonic() + timeout_s
        while not await self.ready():
            if not self.running:
                raise GatewayFailed(f"the gateway ended with status {self.returncode}\n{self.log_tail()}")
            if time.monotonic() > deadline:
                raise GatewayFailed(f"the gateway was not ready after {timeout_s:g} s\n{self.log_tail()}")
            await asyncio.sleep(POLL_S)

    async def ready(self) -> bool:
        try:
            async with self._http().get(f"{self.url}/readyz") as response:
                return response.status == 200
        except (ClientError, TimeoutError):
            return False

    async def stands_by(self) -> bool:
        """Whether it waits for another process to give the database up."""
        try:
            async with self._http().get(f"{self.url}/readyz") as response:
                return response.status == 503 and "standby" in await response.text()
        except (ClientError, TimeoutError):
            return False

    @property
    def returncode(self) -> int | None:
        return None if self._process is None else self._process.returncode

    async def api(self, method: str, path: str, body: Any = None) -> Any:
        """A call of the administrators' API, `path` without `/api/v1`; the decoded answer. `Refused` for an error."""
        async with self._http().request(method, f"{self.url}/api/v1{path}", json=body) as response:
            if response.status >= 400:
                raise Refused(response.status, await response.text())
            return await response.json() if response.status != 204 else None

    async def push(self, batch: Sequence[Mapping[str, Any]]) -> list[Any]:
        """Envelopes to the switch's door, in one batch; the result of each."""
        async with self._http().post(f"{self.url}/v1/events/batch", json=batch) as response:
            if response.status != 202:
                raise Refused(response.status, await response.text())
            return list((await response.json())["results"])

    async def sql(self, statement: str, *arguments: object) -> list[Any]:
        """A statement on the gateway's own database."""
        connection = await asyncpg.connect(self.dsn)
        try:
            return list(await connection.fetch(statement, *arguments))
        finally:
            await connection.close()

    async def metrics(self) -> str:
        async with self._http().get(f"{self.url}/metrics") as response:
            return await response.text()

    def kill9(self) -> None:
        """SIGKILL, at once; `ended()` waits for the kernel to have done it."""
        if self.running:
            os.kill(self.pid, signal.SIGKILL)

    async def ended(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        assert self._process is not None
        return await asyncio.wait_for(self._process.wait(), timeout_s)

    async def term(self, timeout_s: float = STOP_TIMEOUT_S) -> int:
        """Asks it to stop, waits, and returns its exit status. One that does not stop in time is killed."""
        if self.running:
            os.kill(self.pid, signal.SIGTERM)
        try:
            return await self.ended(timeout_s)
        except TimeoutError:
            self.kill9()
            await self.ended()
            raise GatewayFailed(f"the gateway did not stop within {timeout_s:g} s\n{self.log_tail()}") from None

    async def close(self) -> None:
        try:
            if self.running:
                await self.term()
        finally:
            await self.stop_postgres()
            if self._session is not None:
                await self._session.close()
                self._session = None

    def postmaster_pid(self) -> int | None:
        """The embedded PostgreSQL's first process, if it lives."""
        found = PidFile.read(self._database)
        return found.pid if found is not None and found.names_a_server_of(self._database) else None

    @property
    def dsn(self) -> str:
        """The embedded database, for looking at what the gateway has written; it needs a live server."""
        found = PidFile.read(self._database)
        assert found is not None
        return f"postgresql://{SUPERUSER}@/{DATABASE}?host={found.socket_folder}"

    @property
    def _database(self) -> Path:
        return self.data_dir / "postgres"

    async def stop_postgres(self) -> None:
        """Ends what the gateway left running: fast (SIGINT), and if that does not help, at once (SIGQUIT)."""
        for kind in (signal.SIGINT, signal.SIGQUIT):
            pid = self.postmaster_pid()
            if pid is None:
                return
            os.kill(pid, kind)
            deadline = time.monotonic() + STOP_TIMEOUT_S / 2
            while Path(f"/proc/{pid}").exists() and time.monotonic() < deadline:
                await asyncio.sleep(POLL_S)

    def log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines() if self.log.exists() else []
        return "\n".join(lines[-LOG_TAIL_LINES:])

    def _http(self) -> ClientSession:
        if self._session is None:
            self._session = ClientSession(
                headers={"Authorization": f"Bearer {ADMIN_TOKEN}"}, timeout=ClientTimeout(total=30)
            )
        return self._session


def free_port() -> int:
    """A loopback port that nothing listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
