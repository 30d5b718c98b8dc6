"""`/api/v1/tenants`: the customers of the contact center. Most come into being by being named once."""

from __future__ import annotations

from aiohttp import web

from gateway.admin.auth import Principal, listed_tenant, owning_tenant, principal
from gateway.admin.paging import Page, PageQuery, page, paged
from gateway.admin.routes import Route
from gateway.admin.schemas import TenantIn, TenantOut, TenantPatch
from gateway.errors import Problem
from gateway.http import json_response, parse_query, read_model
from gateway.model import Role, Tenant
from gateway.registry.registry import Registry

PATH = "/api/v1/tenants"
ONE = PATH + "/{id}"


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
            Route(
                method="GET",
                path=ONE,
                handler=self.show,
                role=Role.VIEWER,
                summary="Show a tenant",
                tag="Tenants",
                response_model=TenantOut,
            ),
            Route(
                method="PATCH",
                path=ONE,
                handler=self.change,
                role=Role.ADMIN,
                summary="Limit a tenant",
                tag="Tenants",
                description="What it pushes beyond its rate is answered 429, or is an error of its item in a batch.",
                request_model=TenantPatch,
                response_model=TenantOut,
            ),
        ]

    async def list(self, request: web.Request) -> web.Response:
        query = parse_query(PageQuery, request.query)
        tenants = self._registry.tenants(listed_tenant(principal(request), None, self._registry))
        rows, after = paged("tenants", tenants, query, key=lambda tenant: f"{tenant.id:010}")
        return json_response(page([_shown(each) for each in rows], after))

    async def create(self, request: web.Request) -> web.Response:
        who, body = principal(request), await read_model(request, TenantIn)
        _check_unbound(who)
        if self._registry.tenant(body.name) is not None:
            raise Problem(409, "conflict", f"there is already a tenant called “{body.name}”")
        tenant = await self._registry.add_tenant(body.name, by=who.actor, rate_per_s=body.rate_per_s)
        return json_response(_shown(tenant), status=201, headers={"Location": f"{PATH}/{tenant.id}"})

    async def show(self, request: web.Request) -> web.Response:
        return json_response(_shown(self._one(request, principal(request))))

    async def change(self, request: web.Request) -> web.Response:
        who, body = principal(request), await read_model(request, TenantPatch)
        _check_unbound(who)
        tenant = self._one(request, who)
        return json_response(_shown(await self._registry.limit_tenant(tenant.id, body.rate_per_s, by=who.actor)))

    def _one(self, request: web.Request, who: Principal) -> Tenant:
        """Problem 404 where there is none that `who` may see."""
        wanted = request.match_info["id"]
        for tenant in self._registry.tenants(who.tenant_id):
            if str(tenant.id) == wanted:
                return tenant
        raise Problem(404, "not-found", "there is no tenant with this id")


def _check_unbound(who: Principal) -> None:
    if who.tenant_id is not None:
        raise Problem(403, "forbidden", "tenants are added and limited by a token that is bound to none of them")


def _shown(tenant: Tenant) -> TenantOut:
    return TenantOut(id=tenant.id, name=tenant.name, rate_per_s=tenant.rate_per_s)
