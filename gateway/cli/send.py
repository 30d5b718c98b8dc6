"""`gateway send`: push events as the switch does, from a file, from standard input, or the catalog's sample."""

from __future__ import annotations

import json
import time
from typing import Any, BinaryIO
from urllib.parse import quote

import click

from gateway.cli.connection import Session, connected
from gateway.cli.options import read_input
from gateway.cli.output import note, print_json_line


@click.command("send")
@click.argument("event_type")
@click.argument("file", type=click.File("rb"), required=False)
@click.option("--sample", is_flag=True, help="Push the sample of the event type instead of a file.")
@click.option("--tenant", help="The customer that the event belongs to.")
@click.option("--idempotency-key", help="The same key with the same payload is one event, however often pushed.")
@click.option("--count", type=click.IntRange(min=1), default=1, show_default=True, help="How often, for trying.")
@click.option("--rate", type=click.FloatRange(min=0, min_open=True), help="At most so many a second. [no limit]")
@connected
def command(
    session: Session,
    event_type: str,
    file: BinaryIO | None,
    sample: bool,
    tenant: str | None,
    idempotency_key: str | None,
    count: int,
    rate: float | None,
) -> None:
    """Push an event, and print its id once it is committed.

    FILE holds the payload itself (- is standard input). A sample that is pushed more than once is a
    call of its own each time.

    \b
      gateway send call.created created.json
      gateway send call.saved --sample --count 100 --rate 20
    """
    if (file is None) == (not sample):
        raise click.UsageError("Name a FILE (or - for standard input), or say --sample: one of the two.")
    if idempotency_key is not None and count > 1:
        raise click.UsageError("--idempotency-key makes one event of many pushes: leave --count out.")
    payload = _sample(event_type) if file is None else read_input(file)
    headers = {"Idempotency-Key": idempotency_key, "X-Tenant": tenant}
    sent_headers = {name: value for name, value in headers.items() if value is not None}
    path = f"/v1/events/{quote(event_type, safe='')}"
    started = time.monotonic()
    for number in range(count):
        if rate is not None:
            time.sleep(max(0.0, started + number / rate - time.monotonic()))
        body = _of_another_call(payload, number) if sample and number else payload
        _report(session, session.client.request("POST", path, body=body, headers=sent_headers).item())
    if count > 1:
        elapsed_s = time.monotonic() - started
        note(f"Pushed {count} events in {elapsed_s:.1f} s ({count / elapsed_s:.0f}/s).")


def _report(session: Session, accepted: dict[str, Any]) -> None:
    if session.as_json:
        print_json_line(accepted)
        return
    click.echo(accepted["id"])
    if accepted.get("duplicate"):
        note("It was pushed before: nothing new was accepted.")


def _sample(event_type: str) -> bytes:
    """The payload as published. The catalog is imported only here: that takes longer than a push."""
    from gateway import catalog

    name = catalog.resolve(event_type)
    if name is None:
        raise click.UsageError(f"There is no event type '{event_type}'. There are: {', '.join(catalog.BY_NAME)}.")
    return catalog.BY_NAME[name].sample


def _of_another_call(payload: bytes, number: int) -> bytes:
    """The same payload with a call id of its own; one without a call stays as it is."""
    data = json.loads(payload)
    if "call_id" in data:
        data["call_id"] += number
    return json.dumps(data, ensure_ascii=False).encode()
