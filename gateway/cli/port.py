"""`gateway port`: target ports beyond the standard ones, asked for by webhooks and decided by operators."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

from gateway.cli.client import Client, Refused
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

P = ParamSpec("P")
R = TypeVar("R")


def scope(command: Callable[P, R]) -> Callable[P, R]:
    """The options that narrow a decision."""
    command = click.option("--tenant", help="For this customer only.")(command)
    return click.option("--host", help="For this target host only.")(command)


@click.group("port")
def command() -> None:
    """Target ports beyond the standard ones.

    Webhooks ask for the port of their target by themselves; an operator decides.
    """


@command.command("list")
@connected
def list_ports(session: Session) -> None:
    """List what is asked for, open and denied."""
    print_list(session, session.client.pages(PATH), COLUMNS, empty="No port was asked for or opened.")


@command.command("open")
@click.argument("port", type=PORT)
@scope
@connected
def open_port(session: Session, port: int, host: str | None, tenant: str | None) -> None:
    """Open a port: what waits for it is delivered."""
    _decide(session, "open", port, host=host, tenant=tenant)


@command.command("deny")
@click.argument("port", type=PORT)
@scope
@connected
def deny(session: Session, port: int, host: str | None, tenant: str | None) -> None:
    """Deny a port: webhooks that need it stay blocked, and say why."""
    _decide(session, "denied", port, host=host, tenant=tenant)


@command.command("close")
@click.argument("reference")
@connected
def close(session: Session, reference: str) -> None:
    """Close an open port: webhooks that need it are blocked and hold their events.

    REFERENCE is an entry's id, or its port number where that is the only entry for it.
    """
    session.client.delete(f"{PATH}/{_resolve(session.client, reference)}")
    note(f"Closed {reference}.")


def _decide(session: Session, state: str, port: int, *, host: str | None, tenant: str | None) -> None:
    given = {"port": port, "host": host, "tenant": tenant, "state": state}
    answer = session.client.post(PATH, {name: value for name, value in given.items() if value is not None})
    print_item(session, answer, COLUMNS)


def _resolve(client: Client, reference: str) -> str:
    if is_id(reference):
        return reference.lower()
    found = [item for item in client.pages(PATH) if str(item["port"]) == reference]
    if not found:
        raise Refused(f"There is no entry for the port {printable(reference)}: gateway port list.")
    if len(found) > 1:
        raise Refused(f"{len(found)} entries are for the port {reference}; use an id: gateway port list.")
    return str(found[0]["id"])
