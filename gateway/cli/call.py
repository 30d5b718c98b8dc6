"""`gateway call`: everything that happened to one call, in the order in which it was accepted."""

from __future__ import annotations

import click

from gateway.cli.attempt import webhook_names
from gateway.cli.connection import Session, connected
from gateway.cli.event import print_deliveries
from gateway.cli.output import print_raw, shown
from gateway.cli.text import local_time


@click.group("call")
def command() -> None:
    """A call's timeline."""


@command.command("show")
@click.argument("call_id")
@connected
def show(session: Session, call_id: str) -> None:
    """Show the events of a call, their deliveries and attempts."""
    answer = session.client.get(f"/api/v1/calls/{call_id}")
    if session.as_json:
        print_raw(answer)
        return
    names = webhook_names(session.client)
    for event in answer.item()["events"]:
        at = local_time(event.get("received_at"), millis=True)
        click.secho(f"{at}  {shown(event.get('type'))}  {shown(event.get('id'))}", bold=True)
        print_deliveries(event, names, indent="  ")
