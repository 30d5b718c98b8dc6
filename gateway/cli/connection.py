"""Which gateway a command talks to, and as whom: the options that every API command has.

A token is taken from the first of --token, GATEWAY_TOKEN, --token-file, GATEWAY_TOKEN_FILE and the file
`admin-token` of the data directory. The last is sent to loopback addresses only: it belongs to the
gateway of this machine, and must not leak to whatever --url names.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Concatenate, ParamSpec, TypeVar
from urllib.parse import urlsplit

import click

from gateway.cli.client import DEFAULT_URL, Client

ADMIN_TOKEN_FILE = "admin-token"  # noqa: S105 - a file's name
LOOPBACK_HOSTS = frozenset({"127.0.0.1", "::1", "localhost"})
TOKEN_FILE_LIMIT_BYTES = 4096

P = ParamSpec("P")
R = TypeVar("R")


@dataclass(frozen=True, slots=True)
class Session:
    """What a command needs besides its own options. `as_json`: print for scripts, not for people."""

    client: Client
    as_json: bool


def data_dir_option(command: Callable[P, R]) -> Callable[P, R]:
    return click.option(
        "--data-dir",
        type=click.Path(path_type=Path, file_okay=False),
        envvar="GATEWAY_DATA_DIR",
        default=Path("gateway-data"),
        show_default=True,
        help="The gateway's data directory; its admin token is used where no other is given.",
    )(command)


def connected(command: Callable[Concatenate[Session, P], R]) -> Callable[P, R | None]:
    """Give a command --url, --token, --token-file, --data-dir, --timeout and --json, and a `Session` first.

    A group that also does something by itself steps back where a subcommand was named.
    """

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> R | None:
        ctx = click.get_current_context()
        if ctx.invoked_subcommand is not None:
            _refuse_options_before(ctx, ctx.invoked_subcommand)
            return None
        options: dict[str, Any] = kwargs
        url, timeout_s, as_json = options.pop("url"), options.pop("timeout_s"), options.pop("as_json")
        token = find_token(
            url,
            token=options.pop("token"),
            token_file=options.pop("token_file"),
            data_dir=options.pop("data_dir"),
        )
        with Client(url, token, timeout_s=timeout_s) as client:
            return command(Session(client, as_json), *args, **kwargs)

    options: list[Callable[[Callable[P, R | None]], Callable[P, R | None]]] = [
        click.option("--url", envvar="GATEWAY_URL", default=DEFAULT_URL, show_default=True, help="The gateway's URL."),
        click.option("--token", envvar="GATEWAY_TOKEN", help="An API token; the environment hides it better."),
        click.option(
            "--token-file",
            type=click.Path(path_type=Path, dir_okay=False),
            envvar="GATEWAY_TOKEN_FILE",
            help="A file that holds the API token.",
        ),
        data_dir_option,
        click.option(
            "--timeout",
            "timeout_s",
            type=click.FloatRange(min=0, min_open=True),
            default=75.0,  # a test delivery may take a minute
            show_default=True,
            help="Seconds to wait for an answer.",
        ),
        click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts."),
    ]
    decorated: Callable[P, R | None] = run
    for option in reversed(options):
        decorated = option(decorated)
    return decorated


def _refuse_options_before(ctx: click.Context, subcommand: str) -> None:
    """Options that would be ignored without a word are a mistake: they belong to the subcommand."""
    for name in ctx.params:
        if ctx.get_parameter_source(name) is click.core.ParameterSource.COMMANDLINE:
            raise click.UsageError(f"Options come after '{subcommand}'.", ctx)


def find_token(url: str, *, token: str | None, token_file: Path | None, data_dir: Path) -> str:
    """The first token there is, in the order that this module's docstring names. UsageError where there is none."""
    if token:
        return token.strip()
    if token_file is not None:
        return read_token(token_file)
    local = data_dir / ADMIN_TOKEN_FILE
    if urlsplit(url).hostname in LOOPBACK_HOSTS and local.is_file():
        return read_token(local)
    raise click.UsageError("No token. Give one with --token, GATEWAY_TOKEN or GATEWAY_TOKEN_FILE.")


def read_token(path: Path) -> str:
    try:
        with path.open("rb") as file:
            token = file.read(TOKEN_FILE_LIMIT_BYTES).decode("ascii").strip()
    except OSError as error:
        raise click.UsageError(f"The token file {path} cannot be read: {error.strerror}.") from error
    except UnicodeDecodeError:
        token = ""
    if not token or not token.isprintable() or " " in token:
        raise click.UsageError(f"The file {path} holds no token.")
    return token
