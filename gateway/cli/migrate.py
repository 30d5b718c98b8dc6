"""`gateway migrate`: bring the database's schema to this program's version, before a roll-out or by itself."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from gateway.cli.client import CliError, GatewayUnavailable
from gateway.cli.output import print_json
from gateway.cli.serve import load_settings, setting_options
from gateway.errors import GatewayError, Unavailable

if TYPE_CHECKING:
    from gateway.settings import Settings


@click.command("migrate")
@setting_options
@click.option("--check", is_flag=True, help="Change nothing; exit code 1 where there is something to do.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON, for scripts.")
def command(config: Path | None, check: bool, as_json: bool, **flags: object) -> None:
    """Create or upgrade the database's schema, all or nothing.

    `gateway serve` does the same when it starts; this is for those who upgrade the schema as a step
    of its own.
    """
    settings = load_settings(config, flags)
    try:
        done = asyncio.run(_migrate(settings, check=check))
    except Unavailable as error:
        raise GatewayUnavailable(str(error)) from error
    except GatewayError as error:
        raise CliError(str(error)) from error
    if as_json:
        print_json({"pending" if check else "applied": done})
    elif not done:
        click.echo("The schema is up to date.")
    else:
        click.echo(f"{'To be applied' if check else 'Applied'}: {', '.join(done)}.")
    if check and done:
        raise SystemExit(1)


async def _migrate(settings: Settings, *, check: bool) -> list[str]:
    """The versions that were applied, or with `check` would be, oldest first."""
    from gateway.store import migrate
    from gateway.store.embedded import EmbeddedPostgres

    async with AsyncExitStack() as stack:
        dsn = settings.database_url
        if dsn is None:
            dsn = (await stack.enter_async_context(EmbeddedPostgres(settings.data_dir))).dsn
        if not check:
            return await migrate.migrate(dsn)
        version, known = await migrate.current(dsn), migrate.versions()
        if version is None:
            return known
        if version not in known:
            raise GatewayError(f"the database's schema has version {version}, this program knows up to {known[-1]}")
        return known[known.index(version) + 1 :]
