"""File locks (flock) that processes on one machine hold on one data folder.

Invariant: the kernel lets go of a lock when the last process that holds it ends, however it ends. A child that
is handed the descriptor is such a process, so a lock can outlive its taker.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import time
from pathlib import Path
from types import TracebackType

from gateway.errors import GatewayError

RETRY_S = 0.01


class FileLock:
    """One taker's hold on a lock file; open while the context is. Two of them never share a hold."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._fd = -1

    def __enter__(self) -> FileLock:
        # Close-on-exec, as always in Python: a child gets the descriptor only where it is handed over.
        self._fd = os.open(self.path, os.O_RDWR | os.O_CREAT, 0o600)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)
        self._fd = -1

    def fileno(self) -> int:
        return self._fd

    def try_take(self, *, shared: bool = False) -> bool:
        """Take the lock if nobody is in the way; a hold that this one had may be lost where that fails."""
        try:
            fcntl.flock(self._fd, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            return False
        return True

    async def take(self, *, shared: bool = False, within_s: float) -> None:
        deadline = time.monotonic() + within_s
        while not self.try_take(shared=shared):
            if time.monotonic() >= deadline:
                raise GatewayError(f"{self.path} has been locked by another process for {within_s:g} s.")
            await asyncio.sleep(RETRY_S)
