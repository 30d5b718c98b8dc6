"""Operations → Audit: who changed what, in words.

Invariant: what it shows of a change is what the audit holds, which has no secret in it.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from aiohttp import web

from gateway.admin.paging import decode_cursor, encode_cursor
from gateway.console.visit import Page, Visit
from gateway.ids import id_time
from gateway.model import Role
from gateway.store.audit import AuditEntry
from gateway.store.config import ConfigStore

PATH = "/operations/audit"
ROWS = 50
VALUE_CHARS = 200
NAMES = ("name", "port")
"""The members by which a thing is called."""
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
THINGS = {"access": "access", "port": "decision on port", "rejected": "rejected event"}
PAGES = {"access": "/webhooks/access/", "webhook": "/webhooks/settings/", "replay": "/reports/replays/"}
"""Where a thing that still exists is shown."""


@dataclass(frozen=True, slots=True)
class Row:
    """One entry as a sentence: who, `did`, `what`; `path` leads to it where there is such a page."""

    at: datetime
    actor: str
    did: str
    what: str
    path: str
    tenant_id: int | None
    changes: list[tuple[str, str]]


class AuditPages:
    def __init__(self, store: ConfigStore) -> None:
        self._store = store

    def pages(self) -> list[Page]:
        return [Page(method="GET", path=PATH, handler=self.index, role=Role.OPERATOR)]

    async def index(self, visit: Visit) -> web.Response:
        position = decode_cursor("audit", visit.request.query.get("cursor"))
        before_id = str(position[0]) if position else None
        found = await self._store.audit(tenant_id=visit.who.tenant_id, before_id=before_id, limit=ROWS + 1)
        shown = found[:ROWS]
        cursor = encode_cursor("audit", [shown[-1].id]) if len(found) > ROWS else None
        return visit.page("audit.html", rows=[_row(visit, each) for each in shown], cursor=cursor)


def _row(visit: Visit, entry: AuditEntry) -> Row:
    kind, _, verb = entry.action.partition(".")
    name = _name(visit, kind, entry)
    return Row(
        at=id_time(entry.id),
        actor=entry.actor,
        did=f"{VERBS.get(verb, verb)} the {THINGS.get(kind, kind)}",
        what=name or entry.resource,
        path=PAGES[kind] + entry.resource if kind in PAGES and _exists(visit, kind, entry.resource) else "",
        tenant_id=entry.tenant_id,
        changes=[
            (member.replace("_", " "), change_in_words(value) if verb == "change" else in_words(value))
            for member, value in entry.detail.items()
            if verb == "change" or member not in NAMES
        ],
    )


def _name(visit: Visit, kind: str, entry: AuditEntry) -> str:
    """What people call it: by the entry, else as it is called now."""
    for member in NAMES:
        value = entry.detail.get(member)
        if value:
            return in_words(value[-1] if isinstance(value, list) else value)
    held = {"access": visit.registry.access, "webhook": visit.registry.webhook}.get(kind)
    found = held(entry.resource) if held else None
    return found.name if found else ""


def _exists(visit: Visit, kind: str, id: str) -> bool:
    held = {"access": visit.registry.access, "webhook": visit.registry.webhook}.get(kind)
    return held is None or held(id) is not None


def change_in_words(value: Any) -> str:
    """`before → after`; of a secret, that it changed."""
    return " → ".join(in_words(each) for each in value) if isinstance(value, list) else in_words(value)


def in_words(value: Any) -> str:
    """What is long is cut."""
    if value is None or value in ("", []):
        text = "none"
    elif isinstance(value, list):
        text = ", ".join(in_words(each) for each in value)
    else:
        text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= VALUE_CHARS else text[:VALUE_CHARS] + "…"
