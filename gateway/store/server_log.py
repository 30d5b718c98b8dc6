"""The log file of the embedded PostgreSQL, kept within a bound.

Invariant: the server appends, so the file is emptied in place and never replaced under it.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LOG_BYTES = 8 * 1024 * 1024
"""Past this, the log becomes `postgres.log.1`; the two together are at most about twice as long."""
TAIL_LINES = 15


class ServerLog:
    """The log at `path`. What a failed start has said is the tail of what came after `size_bytes()` before it."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def bound(self) -> None:
        if self.size_bytes() > LOG_BYTES:
            shutil.copyfile(self.path, self.path.with_name(self.path.name + ".1"))
            os.truncate(self.path, 0)

    def size_bytes(self) -> int:
        try:
            return self.path.stat().st_size
        except FileNotFoundError:
            return 0

    def tail(self, begin_bytes: int) -> str:
        """The last lines since the log was `begin_bytes` long."""
        try:
            with self.path.open("rb") as file:
                file.seek(begin_bytes)
                lines = file.read(LOG_BYTES).decode(errors="replace").splitlines()
        except FileNotFoundError:
            lines = []
        return "\n".join(lines[-TAIL_LINES:]) or f"(nothing; see {self.path})"
