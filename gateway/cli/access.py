"""`gateway access`: the credentials that webhooks use. Their secrets go in and never come out again."""

from __future__ import annotations

from typing import Any, BinaryIO

import click

from gateway.cli.connection import Session, connected
from gateway.cli.options import confirm, resolve, secret
from gateway.cli.output import Column, note, print_item, print_list

PATH = "/api/v1/access"
COLUMNS = (
    Column("ID", "id"),
    Column("API name", "name"),
    Column("Type", "type"),
    Column("Key name", "key_name"),
    Column("Location", "location"),
    Column("Client ID", "client_id"),
)


@click.group("access")
def command() -> None:
    """Credentials that webhooks use to authenticate at their targets.

    REFERENCE is an access's id or its API name.
    """


@command.command("list")
@connected
def list_accesses(session: Session) -> None:
    """List all accesses."""
    print_list(session, session.client.pages(PATH), COLUMNS, empty="There are no accesses yet: gateway access add.")


@command.command("show")
@click.argument("reference")
@connected
def show(session: Session, reference: str) -> None:
    """Show one access, without its secret."""
    answer = session.client.get(f"{PATH}/{resolve(session.client, PATH, reference)}")
    print_item(session, answer, COLUMNS)


@command.command("add")
@click.option(
    "--type", "kind", type=click.Choice(["basic", "api_key"]), required=True, help="How targets authenticate."
)
@click.option("--name", required=True, help="The API name: how lists and webhooks call this access.")
@click.option("--key-name", help="Header or body member that carries it. [Authorization for basic]")
@click.option("--location", type=click.Choice(["header", "body"]), help="Where an API key travels. [header]")
@click.option("--client-id", help="For basic.")
@click.option("--client-secret-file", type=click.File("rb"), help="For basic; - is standard input. [asks]")
@click.option("--api-key-file", type=click.File("rb"), help="For api_key; - is standard input. [asks]")
@click.option("--tenant", help="The customer that it belongs to.")
@connected
def add(session: Session, /, kind: str, **given: Any) -> None:
    """Add an access.

    The secret is read from a file, from standard input (-), or asked for without echo:

    \b
      gateway access add --type api_key --name crm --key-name x-api-key --api-key-file key.txt
      pass show crm | gateway access add --type basic --name crm --client-id hcc --client-secret-file -
    """
    body = _body(given, kind=kind)
    body.setdefault("key_name", "Authorization" if kind == "basic" else "x-api-key")
    if kind == "basic" and "client_id" not in body:
        raise click.UsageError("An access of type basic needs --client-id.")
    wanted, title = ("client_secret", "client secret") if kind == "basic" else ("api_key", "API key")
    body.setdefault(wanted, secret(None, title) if wanted not in body else None)
    print_item(session, session.client.post(PATH, {"type": kind, **body}), COLUMNS)


@command.command("update")
@click.argument("reference")
@click.option("--name", help="A new API name.")
@click.option("--key-name", help="A new header or member name.")
@click.option("--location", type=click.Choice(["header", "body"]), help="Where an API key travels.")
@click.option("--client-id", help="For basic.")
@click.option("--client-secret-file", type=click.File("rb"), help="A new client secret; - is standard input.")
@click.option("--api-key-file", type=click.File("rb"), help="A new API key; - is standard input.")
@connected
def update(session: Session, /, reference: str, **given: Any) -> None:
    """Change an access; what is not named stays as it is."""
    body = _body(given, kind=None)
    if not body:
        raise click.UsageError("Name what to change.")
    answer = session.client.patch(f"{PATH}/{resolve(session.client, PATH, reference)}", body)
    print_item(session, answer, COLUMNS)


@command.command("delete")
@click.argument("reference")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connected
def delete(session: Session, reference: str, yes: bool) -> None:
    """Delete an access that no webhook uses."""
    access_id = resolve(session.client, PATH, reference)
    confirm(f"Delete the access {reference}?", yes=yes)
    session.client.delete(f"{PATH}/{access_id}")
    note(f"Deleted the access {reference}.")


def _body(given: dict[str, Any], *, kind: str | None) -> dict[str, Any]:
    """The members that were given, secrets read from their files. An option of the other type is a mistake."""
    secret_file: BinaryIO | None = given.pop("client_secret_file")
    key_file: BinaryIO | None = given.pop("api_key_file")
    body = {name: value for name, value in given.items() if value is not None}
    if kind == "basic" and (key_file is not None or body.get("location") == "body"):
        raise click.UsageError("An access of type basic has a client ID and secret, in a header: no API key, no body.")
    if kind == "api_key" and (secret_file is not None or "client_id" in body):
        raise click.UsageError("An access of type api_key has an API key: no client ID, no client secret.")
    if secret_file is not None:
        body["client_secret"] = secret(secret_file, "client secret")
    if key_file is not None:
        body["api_key"] = secret(key_file, "API key")
    return body
