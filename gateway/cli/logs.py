"""`gateway logs`: the delivery attempts, filtered as in the console, and followed as they come."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import click

from gateway.cli import webhook as webhooks
from gateway.cli.attempt import columns, print_attempt, print_line, webhook_names
from gateway.cli.client import PAGE_ITEMS, Client, GatewayUnavailable, Item, Query, Unreachable
from gateway.cli.connection import Session, connected
from gateway.cli.options import Moment, resolve
from gateway.cli.output import note, print_json_line, print_list, print_raw

PATH = "/api/v1/logs"
LIMIT = 50
BACKLOG = 10
POLL_S = 1.0
FOLLOW_OVERLAP = timedelta(seconds=40)
"""An attempt is listed by its start and appears at its end: so far back may a slow one still turn up."""
FOLLOW_PAGES = 4
"""The most pages that one poll reads; under a heavier stream older attempts of that second are left out."""


@click.group("logs", invoke_without_command=True)
@click.option("--from", "from_", type=Moment(), help="Not before: a time, a date, or 2h for two hours ago.")
@click.option("--to", type=Moment(), help="Before: likewise.")
@click.option("--event", help="An event type.")
@click.option("--webhook", help="A webhook's id or name.")
@click.option("--outcome", type=click.Choice(["success", "failure"]))
@click.option("--status", help="A status code, as in 503 or 5xx.")
@click.option("--call", "call_id", help="A call's id.")
@click.option("--account", "account_id", help="An account's id.")
@click.option("--limit", type=click.IntRange(min=1), help=f"How many. [{LIMIT}; with --follow {BACKLOG} to begin with]")
@click.option("--follow", "-f", is_flag=True, help="Print new attempts as they come, until interrupted.")
@connected
def command(
    session: Session, /, limit: int | None, follow: bool, from_: str | None, webhook: str | None, **rest: Any
) -> None:
    """Delivery attempts, newest first; with --follow as they come, and then as JSON one a line.

    `gateway logs show ID` shows one with its request and response.
    """
    filters: dict[str, Any] = {"from": from_, **rest}
    if webhook is not None:
        filters["webhook_id"] = resolve(session.client, webhooks.PATH, webhook)
    if follow:
        _follow(session, filters, backlog=limit or BACKLOG)
        return
    found = session.client.pages(PATH, filters, limit=limit or LIMIT)
    names = {} if session.as_json else webhook_names(session.client)
    print_list(session, found, columns(names), empty="No attempt matches.")


@command.command("show")
@click.argument("log_id")
@connected
def show(session: Session, log_id: str) -> None:
    """Show one attempt with its request and response, secrets masked."""
    answer = session.client.get(f"{PATH}/{log_id}")
    if session.as_json:
        print_raw(answer)
    else:
        print_attempt(answer.item())


def _follow(session: Session, filters: Query, *, backlog: int) -> None:
    if filters.get("to") is not None:
        raise click.UsageError("--follow has no end: leave --to out.")
    names = {} if session.as_json else webhook_names(session.client)
    try:
        for item in followed(session.client, filters, backlog=backlog):
            if session.as_json:
                print_json_line(item)
            else:
                print_line(item, names)
    except KeyboardInterrupt:
        return


def followed(client: Client, filters: Query, *, backlog: int) -> Iterator[Item]:
    """The last `backlog` attempts, then each new one once, oldest first, for ever.

    Time is told by the attempts themselves, so the two machines' clocks need not agree. A gateway that goes away
    after the first answer, as for an upgrade, is waited for.
    """
    printed: dict[str, datetime] = {}
    window = dict(filters)
    found = _by_id(client, window, limit=backlog)
    while True:
        new = [item for log_id, item in found.items() if log_id not in printed]
        yield from reversed(new)
        printed |= {str(item["id"]): datetime.fromisoformat(item["started_at"]) for item in new}
        if printed:
            since = max(printed.values()) - FOLLOW_OVERLAP
            printed = {log_id: at for log_id, at in printed.items() if at >= since}
            window["from"] = max(since, min(printed.values())).isoformat()
        found = _poll(client, window)


def _poll(client: Client, window: Query) -> dict[str, Item]:
    """The attempts of the window as of a moment from now, or as soon as there is a gateway again."""
    said = ""
    while True:
        time.sleep(POLL_S)
        try:
            return _by_id(client, window, limit=FOLLOW_PAGES * PAGE_ITEMS)
        except (Unreachable, GatewayUnavailable) as error:
            if error.message != said:
                said = error.message
                note(f"{said.splitlines()[0]} Waiting for it …")


def _by_id(client: Client, window: Query, *, limit: int) -> dict[str, Item]:
    return {str(item["id"]): item for item in client.pages(PATH, window, limit=limit)}
