"""`gateway tenant`: the customers of the contact center, and how many events a second each may push."""

from __future__ import annotations

import click

from gateway.cli.client import Client, Refused
from gateway.cli.connection import Session, connected
from gateway.cli.output import Column, print_item, print_list
from gateway.cli.text import printable

PATH = "/api/v1/tenants"
COLUMNS = (
    Column("ID", "id"),
    Column("Name", "name"),
    Column("Rate", lambda item: f"{item['rate_per_s']:g}/s" if item.get("rate_per_s") else "as set for all"),
)
RATE = click.FloatRange(min=0)


@click.group("tenant")
def command() -> None:
    """Customers, and how many events a second each may push.

    What is over a customer's rate is refused with 429 and pushed again by the switch, so that one customer's flood
    leaves the others their share. GATEWAY_TENANT_RATE_PER_S is the rate of all who have none of their own.
    """


@command.command("list")
@connected
def list_tenants(session: Session) -> None:
    """List all customers."""
    print_list(session, session.client.pages(PATH), COLUMNS, empty="There are no customers.")


@command.command("add")
@click.argument("name")
@click.option("--rate", type=RATE, help="Events a second; 0: as set for all.")
@connected
def add(session: Session, name: str, rate: float | None) -> None:
    """Add a customer. Naming a new one in an access, a webhook or a token does so as well."""
    print_item(session, session.client.post(PATH, {"name": name, "rate_per_s": rate or None}), COLUMNS)


@command.command("limit")
@click.argument("name")
@click.option("--rate", type=RATE, required=True, help="Events a second; 0: as set for all.")
@connected
def limit(session: Session, name: str, rate: float) -> None:
    """Say how many events a second a customer may push; it holds from the next event."""
    path = f"{PATH}/{_id(session.client, name)}"
    print_item(session, session.client.patch(path, {"rate_per_s": rate or None}), COLUMNS)


def _id(client: Client, name: str) -> int:
    for item in client.pages(PATH):
        if item["name"] == name:
            return int(item["id"])
    raise Refused(f"No customer is called '{printable(name)}': gateway tenant list.")
