"""`gateway token`: API tokens, and links that sign in as one. A new token is printed once, on standard output."""

from __future__ import annotations

import click

from gateway.cli.connection import Session, connected
from gateway.cli.options import Duration, confirm
from gateway.cli.output import Column, note, print_list, print_raw
from gateway.cli.text import local_time

PATH = "/api/v1/tokens"
SIGN_IN_LINKS = "/api/v1/sign-in-links"
COLUMNS = (
    Column("ID", "id"),
    Column("Name", "name"),
    Column("Role", "role"),
    Column("Tenant", "tenant"),
    Column("Prefix", "prefix"),
    Column("Created", lambda item: local_time(item["created_at"]) if item.get("created_at") else ""),
    Column("Expires", lambda item: local_time(item["expires_at"]) if item.get("expires_at") else "never"),
)


@click.group("token")
def command() -> None:
    """API tokens: what may push events, look, operate, administer."""


@command.command("create")
@click.option("--role", type=click.Choice(["ingest", "viewer", "operator", "admin"]), required=True)
@click.option("--name", help="Who or what will use it. [the role]")
@click.option("--tenant", help="Bind it to one customer.")
@click.option("--expires-in", type=Duration(), help="As in 90d; it does not expire unless said.")
@connected
def create(session: Session, role: str, name: str | None, tenant: str | None, expires_in: float | None) -> None:
    """Create a token and print it; it is shown this once.

    \b
      gateway token create --role ingest --name switch > switch.token
    """
    body: dict[str, object] = {"name": name or role, "role": role}
    if tenant is not None:
        body["tenant"] = tenant
    if expires_in is not None:
        body["expires_in"] = expires_in
    answer = session.client.post(PATH, body)
    if session.as_json:
        print_raw(answer)
    else:
        click.echo(answer.item()["token"])
        note("Keep it: it is not shown again.")


@command.command("sign-in-link")
@connected
def sign_in_link(session: Session) -> None:
    """Print a link that signs in to the console as your token: once, within 15 minutes."""
    answer = session.client.post(SIGN_IN_LINKS)
    if session.as_json:
        print_raw(answer)
    else:
        click.echo(answer.item()["url"])
        note("It signs in once, within 15 minutes. Whoever opens it first is signed in.")


@command.command("list")
@connected
def list_tokens(session: Session) -> None:
    """List all tokens, without their secrets."""
    print_list(session, session.client.pages(PATH), COLUMNS, empty="There are no tokens.")


@command.command("revoke")
@click.argument("token_id")
@click.option("--yes", is_flag=True, help="Do not ask.")
@connected
def revoke(session: Session, token_id: str, yes: bool) -> None:
    """Revoke a token: it stops working at once."""
    confirm(f"Revoke the token {token_id}?", yes=yes)
    session.client.delete(f"{PATH}/{token_id}")
    note(f"Revoked the token {token_id}.")
