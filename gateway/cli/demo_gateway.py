"""The gateway as the demo runs it: a real `gateway serve` in a process of its own.

It ends with the demo, however the demo ends: it stops when its standard input closes, which a killed
parent's does too. The demo's lock is held by both, so a next demo waits until the last of them is gone.
"""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType

import aiohttp

from gateway.cli.client import CliError
from gateway.cli.connection import ADMIN_TOKEN_FILE
from gateway.store.locks import FileLock

HOST = "127.0.0.1"
USUAL_PORT = 8080
START_LIMIT_S = 90.0
"""A first start creates a database."""
STOP_LIMIT_S = 20.0
POLL_S = 0.1
LOG_LINES_SHOWN = 15
RETRY_SCHEDULE = "1s,2s,5s,15s,1m,5m"
"""Short, so that a retry is seen while somebody looks."""


class DemoFailed(CliError):
    """The demo cannot start or go on; the message says why and where to look."""


class GatewayProcess:
    """One `gateway serve` on a data directory. Started on entry, ready after `ready()`, gone on exit."""

    def __init__(self, data_dir: Path, *, port: int, lock: FileLock) -> None:
        self.url = f"http://{HOST}:{port}"
        self.log_path = data_dir / "gateway.log"
        self.token_path = data_dir / ADMIN_TOKEN_FILE
        self._data_dir = data_dir
        self._port = port
        self._lock = lock
        self._process: asyncio.subprocess.Process | None = None

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None, "it is running"
        return self._process

    async def __aenter__(self) -> GatewayProcess:
        arguments = ("serve", "--data-dir", str(self._data_dir), "--host", HOST, "--port", str(self._port))
        # What the gateway prints on its first start has the admin token in it.
        descriptor = os.open(self.log_path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as log:
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "gateway.cli", *arguments, "--until-stdin-closes"),
                stdin=asyncio.subprocess.PIPE,
                stdout=log,
                stderr=log,
                env=_environment(os.environ),
                pass_fds=(self._lock.fileno(),),
                # Ctrl-C at a terminal reaches its whole session: this one is stopped by the demo, once.
                start_new_session=True,
            )
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._signal(signal.SIGTERM)
        try:
            await asyncio.wait_for(self.process.wait(), STOP_LIMIT_S)
        except TimeoutError:
            self.kill()
            await self.process.wait()
        if self.process.stdin is not None:
            self.process.stdin.close()

    def kill(self) -> None:
        """End it at once; nothing accepted is lost, and the next start recovers."""
        self._signal(signal.SIGKILL)

    async def ready(self, stop: asyncio.Event) -> bool:
        """Wait until it serves; False if `stop` was set before. Raises DemoFailed where it ends or hangs instead."""
        deadline = asyncio.get_running_loop().time() + START_LIMIT_S
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2.0), trust_env=False) as session:
            while not stop.is_set():
                if self.process.returncode is not None:
                    raise self.failed("The gateway did not start")
                if await _is_ready(session, self.url):
                    return True
                if asyncio.get_running_loop().time() > deadline:
                    raise self.failed(f"The gateway was not ready within {START_LIMIT_S:g} s")
                await asyncio.sleep(POLL_S)
        return False

    def admin_token(self) -> str:
        """The token that the first start on this data directory left there."""
        try:
            return self.token_path.read_text("ascii").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise DemoFailed(
                f"{self.token_path} cannot be read, and without it the demo cannot set itself up.\n"
                f"Delete the folder {self._data_dir} to start afresh, or name another with --data-dir."
            ) from error

    def failed(self, what: str) -> DemoFailed:
        lines = self.log_path.read_text("utf-8", "replace").splitlines()[-LOG_LINES_SHOWN:]
        return DemoFailed("\n".join([f"{what}; its log, {self.log_path}, ends:", *lines]))

    def _signal(self, number: signal.Signals) -> None:
        if self._process is not None and self._process.returncode is None:
            self._process.send_signal(number)


def choose_port(wanted: int | None) -> int:
    """The port that was asked for, else the usual one, else any free one."""
    if wanted is not None:
        return wanted
    for port in (USUAL_PORT, 0):
        try:
            with socket.create_server((HOST, port)) as listener:
                return int(listener.getsockname()[1])
        except OSError:
            continue
    raise DemoFailed(f"No port of {HOST} is free.")


def _environment(environ: Mapping[str, str]) -> dict[str, str]:
    """The environment without any setting of a real gateway: the demo never touches somebody's database."""
    clean = {name: value for name, value in environ.items() if not name.startswith("GATEWAY_")}
    return clean | {
        "GATEWAY_EGRESS_ALLOW": "127.0.0.0/8",
        "GATEWAY_RETRY_SCHEDULE": RETRY_SCHEDULE,
        "GATEWAY_LOG_FORMAT": "console",
    }


async def _is_ready(session: aiohttp.ClientSession, url: str) -> bool:
    try:
        async with session.get(f"{url}/readyz") as response:
            return response.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False
