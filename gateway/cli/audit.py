"""`gateway audit`: who changed what."""

from __future__ import annotations

import click

from gateway.cli.connection import Session, connected
from gateway.cli.output import Column, print_list
from gateway.cli.text import local_time

COLUMNS = (
    Column("Time", lambda item: local_time(item.get("at"))),
    Column("Who", "actor"),
    Column("Did", "action"),
    Column("To", "resource"),
    Column("Detail", lambda item: item.get("detail") or None, wraps=True),
)


@click.group("audit")
def command() -> None:
    """Who changed what."""


@command.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many.")
@connected
def list_audit(session: Session, limit: int) -> None:
    """List changes, newest first."""
    print_list(session, session.client.pages("/api/v1/audit", limit=limit), COLUMNS, empty="Nothing was changed yet.")
