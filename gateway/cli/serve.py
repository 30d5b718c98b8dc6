"""`gateway serve`: run the gateway until a signal stops it.

What it prints on its first start (the console's URL and the one-time admin token) goes to standard
error, beside the log, and the token nowhere else but the data directory's `admin-token`.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, ParamSpec, TypeVar

import click

from gateway.cli.client import CliError
from gateway.errors import GatewayError, SettingsError

if TYPE_CHECKING:
    from gateway.app import Ready
    from gateway.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")

DIRECTORY = click.Path(path_type=Path, file_okay=False)


def setting_options(command: Callable[P, R]) -> Callable[P, R]:
    """The flags that every command has which opens the database itself; they go to `Settings.load`."""
    options = (
        click.option("--config", type=click.Path(path_type=Path, dir_okay=False), help="A TOML file of settings."),
        click.option(
            "--data-dir", type=DIRECTORY, help="Embedded database and key. [GATEWAY_DATA_DIR, ./gateway-data]"
        ),
        click.option("--database-url", help="Any PostgreSQL 15 or newer. [GATEWAY_DATABASE_URL, embedded]"),
        click.option("--log-level", help="debug, info, warning or error. [GATEWAY_LOG_LEVEL, info]"),
        click.option("--log-format", help="console or json. [GATEWAY_LOG_FORMAT, console on a terminal]"),
    )
    for option in reversed(options):
        command = option(command)
    return command


@click.command("serve")
@setting_options
@click.option("--host", help="Address to listen on. [GATEWAY_HOST, 127.0.0.1]")
@click.option("--port", type=int, help="Port to listen on; 0 for any free one. [GATEWAY_PORT, 8080]")
@click.option("--egress-allow", help="Networks, otherwise refused, that targets may be in. [GATEWAY_EGRESS_ALLOW]")
@click.option("--egress-ports", help="Target ports open from the start. [GATEWAY_EGRESS_PORTS, 80,443]")
@click.option("--retry-schedule", help="Waits after each failed attempt, as 5s,5m,2h. [GATEWAY_RETRY_SCHEDULE]")
@click.option("--until-stdin-closes", is_flag=True, help="Also stop when standard input ends, with who started it.")
def command(config: Path | None, until_stdin_closes: bool, **flags: object) -> None:
    """Run the gateway.

    Every setting is also an environment variable, GATEWAY_ and the flag's name in capitals, and a
    line of the file that --config names. Precedence: flag, environment, file, default.

    SIGTERM or Ctrl-C stops it in order: it takes no more events, ends the attempts under way, and
    keeps the rest for the next start. A second one stops it at once.
    """
    settings = load_settings(config, flags)
    # Imported only now: a wrong setting is told at once, and --help need not load the whole program.
    import uvloop

    from gateway.app import serve

    if until_stdin_closes:
        threading.Thread(target=_stop_when_stdin_closes, name="stdin", daemon=True).start()
    try:
        exit_code = uvloop.run(serve(settings, on_ready=announce))
    except GatewayError as error:
        raise CliError(str(error)) from error
    sys.exit(exit_code)


def load_settings(config: Path | None, flags: dict[str, object]) -> Settings:
    """The settings; UsageError (exit code 2) with one line where one is wrong."""
    from gateway.settings import Settings

    try:
        return Settings.load(config, **flags)
    except SettingsError as error:
        raise WrongSetting(str(error)) from None


class WrongSetting(CliError):
    """A setting is wrong; nothing was started."""

    exit_code = 2


def announce(ready: Ready) -> None:
    """Say where the console is and, once in a database's life, the admin token."""
    lines = [f"Console:      {ready.url}"]
    if ready.admin_token is not None:
        lines += [f"Admin token:  {ready.admin_token}", "              (shown this once; also in the data directory)"]
    if ready.sign_in_url is not None:
        lines += [f"Sign in:      {ready.sign_in_url}", "              (signs in once, within 15 minutes)"]
    click.echo("\n" + "\n".join(lines) + "\n", err=True)


def _stop_when_stdin_closes() -> None:
    """Whoever started this holds the other end: it closes when they let go of it, or die."""
    # Read below Python's buffers: a daemon thread inside sys.stdin would block the interpreter's own exit.
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)
