"""`gateway port`: target ports beyond the standard ones, asked for by webhooks and decided by operators."""

from __future__ import annotations

import click

from gateway.cli.client import Client, Item, Refused
from gateway.cli.connection import Session, connected
from gateway.cli.options import is_id
from gateway.cli.output import Column, note, print_item, print_list
from gateway.cli.text import printable

PATH = "/api/v1/ports"
COLUMNS = (
    Column("ID", "id"),
    Column("Port", "port"),
    Column("Host", lambda item: item.get("host") or "any"),
    Column("Tenant", lambda item: item.get("tenant") or "any"),
    Column("State", "state"),
)
PORT = click.IntRange(1, 65535)


@click.group("port")
def command() -> None:
    """Target ports beyond the standard ones.

    REFERENCE is an entry's id, or its port number where that is the only entry for it.
    """


@command.command("list")
@connected
def list_ports(session: Session) -> None:
    """List what is asked for, open and denied."""
    print_list(session, session.client.pages(PATH), COLUMNS, empty="No port was asked for or opened.")


@command.command("open")
@click.argument("port", type=PORT)
@click.option("--host", help="For this target host only.")
@click.option("--tenant", help="For this customer only.")
@connected
def open_port(session: Session, port: int, host: str | None, tenant: str | None) -> None:
    """Open a port: what waits for it is delivered.

    An entry that asks for exactly this is decided; otherwise a new one is made.
    """
    asked = _exact(session.client, port, host=host, tenant=tenant)
    if asked is not None:
        answer = session.client.patch(f"{PATH}/{asked['id']}", {"state": "open"})
    else:
        given = {"port": port, "host": host, "tenant": tenant}
        answer = session.client.post(PATH, {name: value for name, value in given.items() if value is not None})
    print_item(session, answer, COLUMNS)


@command.command("deny")
@click.argument("reference")
@connected
def deny(session: Session, reference: str) -> None:
    """Deny what was asked for; its webhooks stay blocked."""
    path = f"{PATH}/{_resolve(session.client, reference)}"
    print_item(session, session.client.patch(path, {"state": "denied"}), COLUMNS)


@command.command("close")
@click.argument("reference")
@connected
def close(session: Session, reference: str) -> None:
    """Close an open port: webhooks that need it are blocked and hold their events."""
    session.client.delete(f"{PATH}/{_resolve(session.client, reference)}")
    note(f"Closed {reference}.")


def _exact(client: Client, port: int, *, host: str | None, tenant: str | None) -> Item | None:
    """The entry for just this port, host and tenant."""
    wanted = (port, host.lower() if host else None, tenant)
    entries = client.pages(PATH)
    return next((one for one in entries if (one["port"], one.get("host"), one.get("tenant")) == wanted), None)


def _resolve(client: Client, reference: str) -> str:
    if is_id(reference):
        return reference.lower()
    found = [item for item in client.pages(PATH) if str(item["port"]) == reference]
    if not found:
        raise Refused(f"There is no entry for the port {printable(reference)}: gateway port list.")
    if len(found) > 1:
        raise Refused(f"{len(found)} entries are for the port {reference}; use an id: gateway port list.")
    return str(found[0]["id"])
