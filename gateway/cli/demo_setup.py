"""What the demo sets up through the public API, as an integrator would: accesses, webhooks, a port, a token.

It may be run again on the same database: what it finds under its names is brought up to date, not doubled.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from gateway.cli.client import Client, Item

SWITCH_TOKEN = "Demo switch"  # noqa: S105 - a name
SWITCH_TOKEN_LIFE = "7d"  # noqa: S105 - a duration
CALL_EVENTS = frozenset({"call.created", "call.ended", "call.saved"})
DECLINED = "reg_f.declined"
TARGET_HOST = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Credential:
    """One access: how lists call it, what the API is told, and the header that its targets then get."""

    name: str
    access: Mapping[str, str] = field(repr=False)
    header: str
    value: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Subscriber:
    """One simulated system of record, which is one webhook."""

    name: str
    path: str
    events: frozenset[str]
    credential: Credential


def make_subscribers() -> tuple[Subscriber, ...]:
    """The demo's cast, with credentials that are new each time."""
    key = secrets.token_urlsafe(24)
    api_key = Credential(
        name="Demo API key",
        access={"type": "api_key", "key_name": "x-api-key", "location": "header", "api_key": key},
        header="x-api-key",
        value=key,
    )
    client_secret = secrets.token_urlsafe(24)
    basic = Credential(
        name="Demo Basic",
        access={
            "type": "basic",
            "key_name": "Authorization",
            "client_id": "contact-center",
            "client_secret": client_secret,
        },
        header="Authorization",
        value="Basic " + base64.b64encode(f"contact-center:{client_secret}".encode()).decode(),
    )
    return (
        Subscriber("CRM", "/crm/calls", CALL_EVENTS | {DECLINED}, api_key),
        Subscriber("Collections", "/collections/contacts", frozenset({"call.saved", DECLINED}), basic),
        Subscriber("Warehouse", "/warehouse/events", CALL_EVENTS, api_key),
    )


def routes(subscribers: tuple[Subscriber, ...]) -> Mapping[str, frozenset[str]]:
    """Which subscribers get each event type, by name."""
    types = frozenset[str]().union(*(subscriber.events for subscriber in subscribers))
    return {
        each: frozenset(subscriber.name for subscriber in subscribers if each in subscriber.events) for each in types
    }


def open_target_port(client: Client, port: int) -> None:
    """Open the target's port and close what an earlier demo had opened for its own."""
    entries = list(client.pages("/api/v1/ports"))
    if not any(entry["port"] == port and entry["state"] == "open" for entry in entries):
        client.post("/api/v1/ports", {"port": port, "host": TARGET_HOST})
    for entry in entries:
        if entry.get("host") == TARGET_HOST and entry["port"] != port:
            client.delete(f"/api/v1/ports/{entry['id']}")


def subscribe(
    client: Client, subscribers: tuple[Subscriber, ...], *, url: Callable[[Subscriber], str]
) -> Mapping[str, str]:
    """Make every access and webhook as it should be; the webhooks' `whsec_…` secrets by subscriber name."""
    access_ids: dict[str, str] = {}
    for credential in {subscriber.credential.name: subscriber.credential for subscriber in subscribers}.values():
        access = _put(client, "/api/v1/access", {"name": credential.name, **credential.access})
        access_ids[credential.name] = access["id"]
    signing: dict[str, str] = {}
    for subscriber in subscribers:
        webhook = {
            "name": subscriber.name,
            "events": sorted(subscriber.events),
            "method": "POST",
            "url": url(subscriber),
            "access_id": access_ids[subscriber.credential.name],
            "state": "active",
        }
        made = _put(client, "/api/v1/webhooks", webhook)
        signing[subscriber.name] = client.get(f"/api/v1/webhooks/{made['id']}/secret").item()["secret"]
    return signing


def switch_token(client: Client) -> str:
    """A new ingest token; those of earlier demos are revoked."""
    for token in list(client.pages("/api/v1/tokens")):
        if token["name"] == SWITCH_TOKEN:
            client.delete(f"/api/v1/tokens/{token['id']}")
    made = client.post("/api/v1/tokens", {"name": SWITCH_TOKEN, "role": "ingest", "expires_in": SWITCH_TOKEN_LIFE})
    return str(made.item()["token"])


def sign_in_link(client: Client) -> str:
    """The address that signs a browser in to the console, once and soon."""
    return str(client.post("/api/v1/sign-in-links").item()["url"])


def _put(client: Client, path: str, body: Mapping[str, object]) -> Item:
    """Create what is called so, or change it; its type is what it is."""
    existing = next((item for item in client.pages(path) if item.get("name") == body["name"]), None)
    if existing is None:
        return client.post(path, body).item()
    changes = {name: value for name, value in body.items() if name != "type"}
    return client.patch(f"{path}/{existing['id']}", changes).item()
