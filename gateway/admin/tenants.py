"""`/api/v1/tenants`: the customers of the contact center. Most come into being by being named once."""

from __future__ import annotations

from aiohttp import web

from gateway.admin.auth import Principal, listed_tenant, owning_tenant, principal
from gateway.admin.paging import Page, PageQuery, page, paged
from gateway.admin.routes import Route
from gateway.admin.schemas import TenantIn, TenantOut
from gateway.errors import Problem
from gateway.http import json_response, parse_query, read_model
from gateway.model import Role, Tenant
from gateway.registry import Registry

PATH = "/api/v1/tenants"


async def tenant_for(registry: Registry, who: Principal, name: str | None) -> Tenant:
    """The tenant of a new resource: `default` unless said; an unbound admin makes a new one by naming it."""
    makes = who.tenant_id is None and who.role is Role.ADMIN
    if makes and name is not None and registry.tenant(name) is None:
        return await registry.add_tenant(name, by=who.actor)
    return owning_tenant(who, name, registry)


class TenantApi:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self.list,
                role=Role.VIEWER,
                summary="List tenants",
                tag="Tenants",
                query_model=PageQuery,
                response_model=Page[TenantOut],
            ),
            Route(
                method="POST",
                path=PATH,
                handler=self.create,
                role=Role.ADMIN,
                summary="Add a tenant",
                tag="Tenants",
                description="An unbound admin also adds one by naming it in a new access, webhook or token.",
                request_model=TenantIn,
                response_model=TenantOut,
                status=201,
                problems=(409,),
            ),
        ]

    async def list(self, request: web.Request) -> web.Response:
        query = parse_query(PageQuery, request.query)
        tenants = self._registry.tenants(listed_tenant(principal(request), None, self._registry))
        rows, after = paged("tenants", tenants, query, key=lambda tenant: f"{tenant.id:010}")
        return json_response(page([TenantOut(id=each.id, name=each.name) for each in rows], after))

    async def create(self, request: web.Request) -> web.Response:
        who, body = principal(request), await read_model(request, TenantIn)
        if who.tenant_id is not None:
            raise Problem(403, "forbidden", "a token that is bound to one tenant cannot add another")
        if self._registry.tenant(body.name) is not None:
            raise Problem(409, "conflict", f"there is already a tenant called “{body.name}”")
        tenant = await self._registry.add_tenant(body.name, by=who.actor)
        return json_response(TenantOut(id=tenant.id, name=tenant.name), status=201, headers={"Location": PATH})
