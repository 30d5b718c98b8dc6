"""An entry of the audit as a sentence.

Invariant: an action that has no words here is still told, in the audit's own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from gateway.console.webhook_form import span
from gateway.console.words import webhook_title
from gateway.ids import id_time
from gateway.model import Access, PortRule, Webhook
from gateway.store.audit import AuditEntry

VALUE_CHARS = 200
VERBS = {
    "create": "added",
    "change": "changed",
    "delete": "deleted",
    "revoke": "revoked",
    "read_secret": "looked at the signing secret of",
    "discard": "discarded",
    "resubmit": "pushed again",
    "cancel": "cancelled",
}
PORT_STATES = {"asked": "asked for", "open": "opened", "denied": "denied"}
THINGS = {"rejected": "rejected event", "tenant": "customer"}
PAGES = {"access": "/webhooks/access/", "webhook": "/webhooks/settings/", "replay": "/reports/replays/"}
"""Where a thing that still exists is shown."""
MEMBERS = {
    "max_in_flight": "attempts at a time",
    "rate_per_s": "rate limit per second",
    "order_wait_s": "wait for order",
}
DURATIONS = frozenset({"timeout_s", "retry_schedule_s", "order_wait_s"})


class Held(Protocol):
    """What there is now, asked of the registry for what an entry leaves out."""

    def access(self, access_id: str) -> Access | None: ...

    def webhook(self, webhook_id: str) -> Webhook | None: ...

    def port(self, rule_id: str) -> PortRule | None: ...


@dataclass(frozen=True, slots=True)
class Told:
    """`actor` `did` `what`; `path` leads to it where it still has a page. `changes` are members with their values."""

    at: datetime
    actor: str
    did: str
    what: str
    path: str
    tenant_id: int | None
    changes: list[tuple[str, str]]


def told(entry: AuditEntry, held: Held) -> Told:
    kind, _, verb = entry.action.partition(".")
    did, what, path, left_out = _sentence(kind, verb, entry, held)
    changes = [
        (_member(name), _change(name, value) if verb == "change" else in_words(name, value))
        for name, value in entry.detail.items()
        if name not in left_out
    ]
    return Told(id_time(entry.id), entry.actor, did, what, path, entry.tenant_id, changes)


def _sentence(kind: str, verb: str, entry: AuditEntry, held: Held) -> tuple[str, str, str, set[str]]:
    """What was done, to what, where that is shown, and the members that are told by this already."""
    if kind == "port":
        return _port(verb, entry.detail, held.port(entry.resource))
    did = f"{VERBS.get(verb, verb)} the {THINGS.get(kind, kind)}"
    left_out = set() if verb == "change" else {"name"}
    now = held.access(entry.resource) if kind == "access" else held.webhook(entry.resource)
    path = PAGES[kind] + entry.resource if kind == "replay" or (now is not None and kind in PAGES) else ""
    return did, _name(entry, now), path, left_out


def _port(verb: str, detail: Mapping[str, Any], now: PortRule | None) -> tuple[str, str, str, set[str]]:
    state = detail.get("state")
    state = state[-1] if isinstance(state, list) else state
    if verb == "delete":
        did = "no longer asks for port" if state == "asked" else "took back the decision on port"
    else:
        did = f"{PORT_STATES.get(str(state), 'changed')} port"
    port, host = detail.get("port") or (now.port if now else ""), detail.get("host") or (now.host if now else "")
    return did, f"{port} for {host}" if host else str(port), "/operations/ports", {"port", "host", "state"}


def _name(entry: AuditEntry, now: Access | Webhook | None) -> str:
    """What people call it: by the entry, else as it is called now."""
    name = entry.detail.get("name")
    if isinstance(name, list):
        name = name[-1]
    if not name and now is not None:
        name = webhook_title(now) if isinstance(now, Webhook) else now.name
    return str(name or entry.detail.get("url") or entry.resource)


def _member(name: str) -> str:
    return MEMBERS.get(name) or name.removesuffix("_s").replace("_", " ")


def _change(name: str, value: Any) -> str:
    """`before → after`; of a secret, that it changed."""
    return " → ".join(in_words(name, each) for each in value) if isinstance(value, list) else str(value)


def in_words(name: str, value: Any) -> str:
    """The value of a member; what is long is cut."""
    if value is None or value in ("", []):
        text = "none"
    elif isinstance(value, list):
        text = ", ".join(in_words(name, each) for each in value)
    elif isinstance(value, int | float) and name in DURATIONS:
        text = span(value)
    else:
        text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= VALUE_CHARS else text[:VALUE_CHARS] + "…"
