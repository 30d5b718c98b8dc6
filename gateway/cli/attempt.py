"""How one delivery attempt is shown: a row of the log, a line as it comes, and the whole of it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence

import click

from gateway.cli.client import Client, Item
from gateway.cli.output import STYLES, Column, print_fields, shown
from gateway.cli.text import local_time, millis, printable

WEBHOOKS = "/api/v1/webhooks"


def result(item: Item) -> str:
    """What came of it, in the fewest words: the status, else the kind of error."""
    if item.get("status_code") is not None:
        return str(item["status_code"])
    return str(item.get("error") or "")


def phases(item: Item) -> str:
    """Where the time went, in its order: `dns 1.2 ms, connect 20.5 ms`."""
    return ", ".join(f"{name} {millis(ms)}" for name, ms in (item.get("phases_ms") or {}).items())


TIME = Column("Time", lambda item: local_time(item.get("started_at"), millis=True))
TOOK = Column("Took", lambda item: millis(item.get("duration_ms")))
RESULT = Column("Result", result)
FIELDS = (
    Column("Log ID", "id"),
    TIME,
    Column("Event", lambda item: f"{shown(item.get('event_type'))} {shown(item.get('event_id'))}".strip()),
    Column("Webhook", "webhook_id"),
    Column("Attempt", "attempt"),
    Column("Outcome", "outcome"),
    RESULT,
    TOOK,
    Column("Of that", phases),
    Column("Error", "detail"),
    Column("Diagnosis", "diagnosis"),
)


def webhook_names(client: Client) -> Mapping[str, str]:
    """What to call each webhook: its name, where it has one."""
    return {item["id"]: item.get("name") or item["id"] for item in client.pages(WEBHOOKS)}


def columns(names: Mapping[str, str]) -> Sequence[Column]:
    """The columns of a list of attempts, webhooks by their names."""
    return (
        TIME,
        Column("Event", "event_type"),
        Column("Outcome", "outcome"),
        RESULT,
        Column("Attempt", "attempt"),
        TOOK,
        Column("Webhook", lambda item: names.get(str(item.get("webhook_id")), item.get("webhook_id"))),
        Column("Log ID", "id"),
    )


def print_line(item: Item, names: Mapping[str, str]) -> None:
    """One attempt on a line of its own, in columns that need not know the next one."""
    time, event, outcome, said, number, took, webhook, log_id = (column.of(item) for column in columns(names))
    colour = STYLES.get(outcome)
    name_chars = max(map(len, names.values()), default=0)
    click.echo(
        f"{time}  {event:<15} {click.style(f'{outcome:<7}', fg=colour)}  {said:<16} "
        f"{'#' + number:<4} {took:>9}  {webhook:<{name_chars}}  {log_id}"
    )


def print_attempt(item: Item) -> None:
    """The whole attempt: what it was, the request as sent (secrets masked), the response as it came."""
    print_fields(item, FIELDS)
    request, response = item.get("request"), item.get("response")
    if request:
        click.echo(f"\nRequest  {shown(request.get('method'))} {shown(request.get('url'))}")
        _print_headers(request.get("headers"))
        _print_body(request.get("json"))
    if response:
        click.echo(f"\nResponse  {shown(response.get('status'))}")
        _print_headers(response.get("headers"))
        _print_body(response.get("body"))
        if response.get("truncated"):
            click.echo("  … the rest was not kept")


def _print_headers(headers: object) -> None:
    if isinstance(headers, Mapping):
        for name, value in headers.items():
            click.echo(f"  {printable(str(name))}: {shown(value)}")


def _print_body(body: object) -> None:
    if body is None or body == "":
        return
    text = body if isinstance(body, str) else json.dumps(body, ensure_ascii=False, indent=2)
    click.echo()
    for line in printable(text, lines=True).splitlines():
        click.echo(f"  {line}")
