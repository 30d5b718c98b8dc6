"""Operations → Audit: who changed what.

Invariant: a page of it reads the audit once, and shows nothing that the audit does not hold.
"""

from __future__ import annotations

from aiohttp import web

from gateway.admin.paging import decode_cursor, encode_cursor
from gateway.console.audit_words import told
from gateway.console.visit import Page, Visit
from gateway.model import Role
from gateway.store.config import ConfigStore

PATH = "/operations/audit"
ROWS = 50


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
        return visit.page("audit.html", rows=[told(each, visit.registry) for each in shown], cursor=cursor)
