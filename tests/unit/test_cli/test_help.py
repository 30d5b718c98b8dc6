"""Every command, on every level, explains itself; and the first of them starts quickly."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator

import click
import pytest

from gateway import __version__
from gateway.cli.main import cli

from .conftest import Run


def every_command(command: click.Command, *path: str) -> Iterator[tuple[str, ...]]:
    yield path
    if isinstance(command, click.Group):
        ctx = click.Context(command)
        for name in command.list_commands(ctx):
            below = command.get_command(ctx, name)
            assert below is not None
            yield from every_command(below, *path, name)


@pytest.mark.parametrize("path", list(every_command(cli)), ids=" ".join)
def test_help_says_what_a_command_does(run: Run, path: tuple[str, ...]) -> None:
    result = run(*path, "--help")
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Usage: {' '.join(('gateway', *path))}")
    assert len(result.stdout.splitlines()) > 4


def test_the_version_is_told(run: Run) -> None:
    assert run("--version").stdout == f"gateway, version {__version__}\n"


def test_a_client_command_imports_nothing_of_the_gateway_itself() -> None:
    """What makes a command slow to start is what it imports."""
    heavy = "{'aiohttp', 'asyncpg', 'pydantic', 'rich', 'uvloop', 'gateway.catalog'}"
    program = f"import sys, gateway.cli.main, gateway.cli.logs, gateway.cli.webhook; print({heavy} & set(sys.modules))"
    found = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert found.stdout == "set()\n"
