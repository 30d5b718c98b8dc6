"""`gateway event` and what it shares with `gateway call`: an event, where it went, and what came of it."""

from __future__ import annotations

import json
from collections.abc import Mapping

import click

from gateway.cli.attempt import result, webhook_names
from gateway.cli.client import Item
from gateway.cli.connection import Session, connected
from gateway.cli.output import Column, print_fields, print_raw, shown
from gateway.cli.text import local_time, millis, printable

FIELDS = (
    Column("Event", "id"),
    Column("Type", "type"),
    Column("Tenant", "tenant"),
    Column("Received", lambda item: local_time(item.get("received_at"), millis=True)),
)


@click.group("event")
def command() -> None:
    """One event: its payload, its deliveries and their attempts."""


@command.command("show")
@click.argument("event_id")
@click.option("--data", "only_data", is_flag=True, help="Print the payload alone.")
@connected
def show(session: Session, event_id: str, only_data: bool) -> None:
    """Show an event, its deliveries and their attempts."""
    answer = session.client.get(f"/api/v1/events/{event_id}")
    event = answer.item()
    if only_data:
        click.echo(json.dumps(event["data"], ensure_ascii=False, indent=2))
    elif session.as_json:
        print_raw(answer)
    else:
        print_fields(event, FIELDS)
        click.echo("\n" + printable(json.dumps(event["data"], ensure_ascii=False, indent=2), lines=True) + "\n")
        print_deliveries(event, webhook_names(session.client))


def print_deliveries(event: Item, names: Mapping[str, str], *, indent: str = "") -> None:
    """Each webhook that the event matched, its state, and each attempt on a line below it."""
    deliveries = event.get("deliveries") or []
    if not deliveries:
        click.echo(f"{indent}no webhook matched")
    for delivery in deliveries:
        webhook_id = str(delivery.get("webhook_id"))
        due = f", next at {local_time(delivery['next_at'])}" if delivery.get("next_at") else ""
        click.echo(f"{indent}{printable(names.get(webhook_id, webhook_id))}: {shown(delivery.get('state'))}{due}")
        for attempt in delivery.get("attempts") or []:
            said = attempt.get("diagnosis") if attempt.get("outcome") != "success" else None
            click.echo(
                f"{indent}  #{shown(attempt.get('attempt'))}  {local_time(attempt.get('started_at'), millis=True)}  "
                f"{printable(result(attempt))}  {millis(attempt.get('duration_ms'))}"
                + (f"  {shown(said)}" if said else "")
            )
