"""A scripted gateway, and `run`, which is the command line inside the test's process."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from gateway.cli.main import cli

from .stub import StubGateway

Run = Callable[..., Result]


@pytest.fixture
def gateway() -> Iterator[StubGateway]:
    with StubGateway() as stub:
        yield stub


@pytest.fixture
def run(gateway: StubGateway, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run a command against the scripted gateway, in an empty folder and with no other environment."""
    monkeypatch.chdir(tmp_path)
    environment = {"GATEWAY_URL": gateway.url, "GATEWAY_TOKEN": "gw_test"}

    def invoke(*arguments: str, stdin: str | bytes | None = None, **env: str | None) -> Result:
        return CliRunner(env={**environment, **env}).invoke(cli, arguments, input=stdin, prog_name="gateway")

    return invoke
