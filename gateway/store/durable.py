"""What makes a change to a folder outlast a power cut.

Invariant: a file that was renamed or linked into a folder is there after a crash only once the folder is synced.
"""

from __future__ import annotations

import os
from pathlib import Path


def sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
