"""`gateway webhook`: which events go to which URL, with which access, and whether they flow."""

from __future__ import annotations

import json
from typing import Any

import click

from gateway.cli import access
from gateway.cli.attempt import print_attempt
from gateway.cli.connection import Session, connected
from gateway.cli.options import Duration, confirm, resolve
from gateway.cli.output import Column, note, print_item, print_list, print_raw

PATH = "/api/v1/webhooks"
COLUMNS = (
    Column("ID", "id"),
    Column("Name", "name"),
    Column("State", "state"),
    Column("Events", "events", wraps=True),
    Column("Method", "method"),
    Column("URL", "url"),
    Column("Reason", "reason", wraps=True),
)
FIELDS = (
    *COLUMNS,
    Column("Failing since", "failing_since"),
    Column("Breaker", lambda item: _breaker(item.get("breaker"))),
    Column("Delivering", lambda item: _delivering(item.get("delivering"))),
    Column("Access", "access_id"),
    Column("Timeout, s", "timeout_s"),
    Column("Max in flight", "max_in_flight"),
    Column("Rate, 1/s", "rate_per_s"),
    Column("Retry schedule", "retry_schedule"),
    Column("Order wait, s", lambda item: "no ordering" if item.get("order_wait_s") is None else item["order_wait_s"]),
)


def settings(command: click.decorators.FC) -> click.decorators.FC:
    """The options that add and update share."""
    for option in reversed(
        (
            click.option("--name", help="How lists call it."),
            click.option("--access", "access_reference", help="The id or API name of an access; '' for none."),
            click.option(
                "--method", type=click.Choice(["GET", "POST", "PUT", "PATCH", "DELETE"], case_sensitive=False)
            ),
            click.option("--timeout-s", type=float, help="Seconds until an attempt has failed."),
            click.option("--max-in-flight", type=int, help="The most attempts at a time."),
            click.option("--rate", "rate_per_s", type=float, help="The most attempts a second; 0 for no limit."),
            click.option("--retry-schedule", help="Waits after each failed attempt, as in 5s,5m,30m."),
            click.option(
                "--order-wait",
                "order_wait_s",
                type=Duration(none_word="none"),
                help="How long later events of a call wait for a failing earlier one; 'none' for no ordering.",
            ),
        )
    ):
        command = option(command)
    return command


@click.group("webhook")
def command() -> None:
    """Which events go to which URL.

    REFERENCE is a webhook's id or its name.
    """


@command.command("list")
@connected
def list_webhooks(session: Session) -> None:
    """List all webhooks."""
    print_list(session, session.client.pages(PATH), COLUMNS, empty="There are no webhooks yet: gateway webhook add.")


@command.command("show")
@click.argument("reference")
@connected
def show(session: Session, reference: str) -> None:
    """Show one webhook with all its settings."""
    print_item(session, session.client.get(_path(session, reference)), FIELDS)


@command.command("add")
@click.argument("url_of_target", metavar="TARGET_URL")
@click.option("--event", "events", multiple=True, required=True, help="An event type; once for each.")
@settings
@click.option("--paused", is_flag=True, help="Hold its events until it is resumed.")
@click.option("--tenant", help="The customer that it belongs to.")
@connected
def add(session: Session, /, url_of_target: str, events: tuple[str, ...], paused: bool, **given: Any) -> None:
    """Add a webhook.

    \b
      gateway webhook add https://crm.example.com/hooks --event call.saved --access crm
    """
    body = {"url": url_of_target, "events": list(events), "method": "POST", **_body(session, given)}
    if paused:
        body["state"] = "paused"
    answer = session.client.post(PATH, body)
    print_item(session, answer, FIELDS)
    _note_block(answer.item())


@command.command("update")
@click.argument("reference")
@click.option("--target-url", help="A new target URL.")
@click.option("--event", "events", multiple=True, help="The event types from now on; once for each.")
@settings
@connected
def update(session: Session, /, reference: str, target_url: str | None, events: tuple[str, ...], **given: Any) -> None:
    """Change a webhook; what is not named stays as it is."""
    body = _body(session, given)
    if target_url is not None:
        body["url"] = target_url
    if events:
        body["events"] = list(events)
    if not body:
        raise click.UsageError("Name what to change.")
    answer = session.client.patch(_path(session, reference), body)
    print_item(session, answer, FIELDS)
    _note_block(answer.item())


@command.command("pause")
@click.argument("reference")
@connected
def pause(session: Session, reference: str) -> None:
    """Hold a webhook's events until it is resumed."""
    print_item(session, session.client.patch(_path(session, reference), {"state": "paused"}), COLUMNS)


@command.command("resume")
@click.argument("reference")
@connected
def resume(session: Session, reference: str) -> None:
    """Deliver what was held, and go on."""
    print_item(session, session.client.patch(_path(session, reference), {"state": "active"}), COLUMNS)


@command.command("delete")
@click.argument("reference")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connected
def delete(session: Session, reference: str, yes: bool) -> None:
    """Delete a webhook and what it still had to deliver."""
    path = _path(session, reference)
    confirm(f"Delete the webhook {reference}, and all that it still has to deliver?", yes=yes)
    session.client.delete(path)
    note(f"Deleted the webhook {reference}.")


@command.command("test")
@click.argument("reference")
@click.option("--event", "event_type", default="call.created", show_default=True, help="Which event's sample to send.")
@connected
def test(session: Session, reference: str, event_type: str) -> None:
    """Send a sample to the target now, and show what came back. Exit code 1 where it failed."""
    answer = session.client.post(f"{_path(session, reference)}/test", {"type": event_type})
    attempt = answer.item()
    if session.as_json:
        print_raw(answer)
    else:
        print_attempt(attempt)
        if attempt.get("resumed"):
            note(f"The webhook {reference} is resumed: what was held is being delivered.")
    if attempt.get("outcome") != "success":
        raise SystemExit(1)


@command.group("secret")
def secret() -> None:
    """The Standard Webhooks secret that signs what a webhook sends."""


@secret.command("show")
@click.argument("reference")
@connected
def show_secret(session: Session, reference: str) -> None:
    """Print the signing secret; that it was read is audited."""
    _print_secret(session, session.client.get(f"{_path(session, reference)}/secret").item())


@secret.command("rotate")
@click.argument("reference")
@connected
def rotate_secret(session: Session, reference: str) -> None:
    """Replace the signing secret; for a while both sign."""
    _print_secret(session, session.client.post(f"{_path(session, reference)}/secret").item())


def _print_secret(session: Session, item: dict[str, Any]) -> None:
    click.echo(json.dumps(item, indent=2) if session.as_json else item["secret"])


def _path(session: Session, reference: str) -> str:
    return f"{PATH}/{resolve(session.client, PATH, reference)}"


def _body(session: Session, given: dict[str, Any]) -> dict[str, Any]:
    """The members that were given, in the API's form; an option's word for none becomes null."""
    access_reference = given.pop("access_reference")
    body = {name: value for name, value in given.items() if value is not None}
    if access_reference is not None:
        body["access_id"] = resolve(session.client, access.PATH, access_reference) if access_reference else None
    if body.get("rate_per_s") == 0:
        body["rate_per_s"] = None
    if body.get("order_wait_s") == "none":
        body["order_wait_s"] = None
    return body


def _breaker(breaker: dict[str, Any] | None) -> str | None:
    """`open (HTTP 503), next probe 2026-01-31T12:00:00Z`."""
    if breaker is None:
        return None
    why = f" ({breaker['reason']})" if breaker.get("reason") else ""
    when = f", next probe {breaker['probe_at']}" if breaker.get("probe_at") else ""
    return f"{breaker['state']}{why}{when}"


def _delivering(delivering: dict[str, Any] | None) -> str | None:
    if delivering is None:
        return None
    more = ", more in the store" if delivering["stored_behind"] else ""
    return f"{delivering['in_flight']} in flight, {delivering['in_memory']} in memory{more}"


def _note_block(webhook: dict[str, Any]) -> None:
    if webhook.get("state") == "blocked":
        note(f"Nothing is delivered yet: {webhook.get('reason') or 'it is blocked'}. See gateway port.")
