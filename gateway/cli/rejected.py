"""`gateway rejected`: pushes that did not fit, kept so that they can be mended and resubmitted."""

from __future__ import annotations

from typing import BinaryIO

import click

from gateway.cli.client import Item
from gateway.cli.connection import Session, connected
from gateway.cli.options import read_input
from gateway.cli.output import Column, print_fields, print_list, print_raw, shown
from gateway.cli.text import local_time, printable

PATH = "/api/v1/rejected"


def _errors(item: Item) -> str:
    errors = item.get("errors") or []
    return "; ".join(f"{shown(one.get('pointer'))}: {shown(one.get('detail'))}".lstrip(": ") for one in errors)


COLUMNS = (
    Column("ID", "id"),
    Column("Received", lambda item: local_time(item.get("received_at"))),
    Column("Type", "type"),
    Column("Errors", _errors, wraps=True),
)


@click.group("rejected")
def command() -> None:
    """Pushes that were refused, to mend and resubmit."""


@command.command("list")
@click.option("--limit", type=click.IntRange(min=1), default=50, show_default=True, help="How many.")
@connected
def list_rejected(session: Session, limit: int) -> None:
    """List refused pushes, newest first."""
    print_list(session, session.client.pages(PATH, limit=limit), COLUMNS, empty="Nothing was rejected.")


@command.command("show")
@click.argument("rejected_id")
@click.option("--body", "only_body", is_flag=True, help="Print the body alone, to mend it in a file.")
@connected
def show(session: Session, rejected_id: str, only_body: bool) -> None:
    """Show a refused push, what was wrong with it, and its body."""
    answer = session.client.get(f"{PATH}/{rejected_id}")
    item = answer.item()
    if only_body:
        click.echo(item["body"])
    elif session.as_json:
        print_raw(answer)
    else:
        print_fields(item, COLUMNS)
        click.echo("\n" + printable(str(item["body"]), lines=True))


@command.command("resubmit")
@click.argument("rejected_id")
@click.argument("file", type=click.File("rb"), required=False)
@connected
def resubmit(session: Session, rejected_id: str, file: BinaryIO | None) -> None:
    """Push it again: as it was, or with the mended body in FILE (- is standard input)."""
    body = None if file is None else read_input(file)
    answer = session.client.request("POST", f"{PATH}/{rejected_id}/resubmit", body=body)
    if session.as_json:
        print_raw(answer)
    else:
        click.echo(answer.item()["id"])
