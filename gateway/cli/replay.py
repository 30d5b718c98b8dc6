"""`gateway replay`: deliver one event again, or what a period and a filter find, and watch it happen."""

from __future__ import annotations

import time
from datetime import UTC, datetime

import click

from gateway.cli import webhook as webhooks
from gateway.cli.client import Client, Item
from gateway.cli.connection import Session, connected
from gateway.cli.options import Moment, resolve
from gateway.cli.output import Column, note, print_item, print_json, print_list

PATH = "/api/v1/replays"
POLL_S = 0.5
COLUMNS = (
    Column("ID", "id"),
    Column("State", "state"),
    Column("Done", "done"),
    Column("Total", "total"),
    Column("Webhook", "webhook_id"),
    Column("Event", "event_id"),
)


@click.group("replay", invoke_without_command=True)
@click.option("--event", "event_id", help="The id of one event to deliver again.")
@click.option("--webhook", help="A webhook's id or name; with --event, deliver to this one alone.")
@click.option(
    "--from", "from_", type=Moment(), help="Events accepted not before: a time, a date, or 2h for two hours ago."
)
@click.option("--to", type=Moment(), help="Events accepted before: likewise. [now]")
@click.option("--only", type=click.Choice(["failed", "all"]), default=None, help="Which of a range. [failed]")
@click.option("--type", "type_", help="Of a range: only events of this type, e.g. call.ended.")
@click.option("--outcome", type=click.Choice(["success", "failure"]), help="Of a range: with such an attempt.")
@click.option("--status", help="Of a range: with an attempt that was answered so: 503, or 5xx.")
@click.option("--call", help="Of a range: only this call's.")
@click.option("--account", help="Of a range: only this account's.")
@click.option("--attempted", is_flag=True, help="The range is of attempts, as in `gateway logs`, not of accepting.")
@click.option("--tenant", help="Whose, where neither the token nor a webhook says so.")
@click.option("--no-wait", is_flag=True, help="Start it, and do not watch.")
@connected
def command(
    session: Session,
    event_id: str | None,
    webhook: str | None,
    from_: str | None,
    to: str | None,
    only: str | None,
    type_: str | None,
    outcome: str | None,
    status: str | None,
    call: str | None,
    account: str | None,
    attempted: bool,
    tenant: str | None,
    no_wait: bool,
) -> None:
    """Deliver again. A replayed event keeps its id, so that targets can tell.

    \b
      gateway replay --event 0197…
      gateway replay --webhook crm --from 2h
      gateway replay --webhook crm --from 2026-01-31 --to 2026-02-01 --only all
      gateway replay --from 1h --attempted --status 5xx --only all
    """
    asked = {
        "only": only,
        "event": type_,
        "outcome": outcome,
        "status": status,
        "call_id": call,
        "account_id": account,
        "tenant": tenant,
        "period_of": "attempts" if attempted else None,
    }
    limits = {name: value for name, value in asked.items() if value is not None}
    body: dict[str, str] = {}
    if webhook is not None:
        body["webhook_id"] = resolve(session.client, webhooks.PATH, webhook)
    if event_id is not None:
        if from_ or to or limits:
            raise click.UsageError("--event is one event: with it goes --webhook alone, and nothing of a range.")
        body["event_id"] = event_id
    elif from_ is None:
        raise click.UsageError("Say --event ID, or --from with what else limits the range (--webhook, --status, ...).")
    else:
        body |= {"from": from_, "to": to or _now(), "only": "failed"} | limits
    replay = session.client.post(PATH, body).item()
    if not no_wait:
        replay = _watch(session.client, replay)
    if session.as_json:
        print_json(replay)
    else:
        click.echo(f"{replay['id']}  {replay['state']}  {_progress(replay)}")


@command.command("list")
@connected
def list_replays(session: Session) -> None:
    """List replays."""
    print_list(session, session.client.pages(PATH), COLUMNS, empty="Nothing was replayed yet.")


@command.command("show")
@click.argument("replay_id")
@connected
def show(session: Session, replay_id: str) -> None:
    """Show how far a replay is."""
    print_item(session, session.client.get(f"{PATH}/{replay_id}"), COLUMNS)


@command.command("cancel")
@click.argument("replay_id")
@connected
def cancel(session: Session, replay_id: str) -> None:
    """Stop a replay; what it has delivered stays delivered."""
    session.client.delete(f"{PATH}/{replay_id}")
    note(f"Cancelled the replay {replay_id}.")


def _watch(client: Client, replay: Item) -> Item:
    """Wait for a replay's end, saying how far it is; an interrupt ends the watching, not the replay."""
    said = ""
    try:
        while replay["state"] == "running":
            time.sleep(POLL_S)
            replay = client.get(f"{PATH}/{replay['id']}").item()
            if (progress := _progress(replay)) != said:
                said = progress
                note(progress)
    except KeyboardInterrupt:
        note(f"It goes on. To stop it: gateway replay cancel {replay['id']}")
    return replay


def _progress(replay: Item) -> str:
    total, skipped = replay.get("total"), replay.get("skipped", 0)
    left_alone = f", {skipped} left alone: on their way already" if skipped else ""
    return f"{replay.get('done', 0) - skipped} of {'?' if total is None else total} delivered{left_alone}"


def _now() -> str:
    return datetime.now(UTC).isoformat()
