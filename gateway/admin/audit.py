"""`/api/v1/audit`: who changed what, newest first."""

from __future__ import annotations

from aiohttp import web

from gateway.admin.auth import listed_tenant, principal
from gateway.admin.paging import Page, TenantPageQuery, decode_cursor, encode_cursor, page
from gateway.admin.routes import Route
from gateway.admin.schemas import AuditOut
from gateway.http import json_response, parse_query
from gateway.ids import id_time
from gateway.model import Role
from gateway.registry.registry import Registry
from gateway.store.audit import AuditEntry
from gateway.store.config import ConfigStore

PATH = "/api/v1/audit"


class AuditApi:
    def __init__(self, registry: Registry, store: ConfigStore) -> None:
        self._registry = registry
        self._store = store

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self.list,
                role=Role.OPERATOR,
                summary="List changes",
                tag="Audit",
                query_model=TenantPageQuery,
                response_model=Page[AuditOut],
            )
        ]

    async def list(self, request: web.Request) -> web.Response:
        query = parse_query(TenantPageQuery, request.query)
        tenant_id = listed_tenant(principal(request), query.tenant, self._registry)
        after = decode_cursor("audit", query.cursor)
        before_id = str(after[0]) if after else None
        found = await self._store.audit(tenant_id=tenant_id, before_id=before_id, limit=query.limit + 1)
        shown = found[: query.limit]
        more = encode_cursor("audit", [shown[-1].id]) if len(found) > len(shown) else None
        return json_response(page([self._shown(entry) for entry in shown], more))

    def _shown(self, entry: AuditEntry) -> AuditOut:
        return AuditOut(
            id=entry.id,
            at=id_time(entry.id),
            actor=entry.actor,
            action=entry.action,
            resource=entry.resource,
            tenant=None if entry.tenant_id is None else self._registry.tenant_by_id(entry.tenant_id).name,
            detail=entry.detail,
        )
