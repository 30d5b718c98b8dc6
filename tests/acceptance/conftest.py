"""Data folders of gateways that have been started before: a first start costs seconds, a copy of its folder none."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.acceptance.program import Gateway

NewDataDir = Callable[[], Path]


@pytest.fixture(scope="session")
def started_once(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The data folder of a gateway that was started and stopped, and has seen nothing."""
    folder = tmp_path_factory.mktemp("first") / "data"

    async def start_and_stop() -> None:
        async with Gateway(folder) as gateway:
            assert await gateway.term() == 0

    asyncio.run(start_and_stop())
    return folder


@pytest.fixture(scope="session")
def new_data_dir(started_once: Path, tmp_path_factory: pytest.TempPathFactory) -> NewDataDir:
    """Makes a copy of it, for one gateway, with every call."""

    def copy() -> Path:
        folder = tmp_path_factory.mktemp("g") / "data"
        subprocess.run(["cp", "-a", str(started_once), str(folder)], check=True)  # keeps owners, as copytree does not
        return folder

    return copy
