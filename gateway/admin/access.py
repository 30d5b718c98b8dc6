"""`/api/v1/access`: the credentials that webhooks use. Their secrets go in here and never come out."""

from __future__ import annotations

from aiohttp import web

from gateway.admin.auth import Principal, listed_tenant, principal
from gateway.admin.paging import Page, TenantPageQuery, page, paged
from gateway.admin.routes import Route
from gateway.admin.schemas import AccessIn, AccessOut, AccessPatch
from gateway.admin.tenants import tenant_for
from gateway.errors import FieldError, Problem
from gateway.http import invalid, json_response, parse_query, read_model
from gateway.model import Access, AccessType, KeyLocation, Role
from gateway.registry.changes import AccessChanges
from gateway.registry.registry import Registry

PATH = "/api/v1/access"


class AccessApi:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def routes(self) -> list[Route]:
        one = PATH + "/{id}"
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self.list,
                role=Role.VIEWER,
                summary="List accesses",
                tag="Access",
                query_model=TenantPageQuery,
                response_model=Page[AccessOut],
            ),
            Route(
                method="POST",
                path=PATH,
                handler=self.create,
                role=Role.OPERATOR,
                summary="Add an access",
                tag="Access",
                request_model=AccessIn,
                response_model=AccessOut,
                status=201,
                problems=(409,),
            ),
            Route(
                method="GET",
                path=one,
                handler=self.show,
                role=Role.VIEWER,
                summary="Show an access",
                tag="Access",
                response_model=AccessOut,
            ),
            Route(
                method="PATCH",
                path=one,
                handler=self.change,
                role=Role.OPERATOR,
                summary="Change an access",
                tag="Access",
                description="Its webhooks use the new credential from the next attempt on.",
                request_model=AccessPatch,
                response_model=AccessOut,
                problems=(409,),
            ),
            Route(
                method="DELETE",
                path=one,
                handler=self.remove,
                role=Role.OPERATOR,
                summary="Delete an access that no webhook uses",
                tag="Access",
                status=204,
                problems=(409,),
            ),
        ]

    async def list(self, request: web.Request) -> web.Response:
        query = parse_query(TenantPageQuery, request.query)
        tenant_id = listed_tenant(principal(request), query.tenant, self._registry)
        rows, after = paged("access", self._registry.accesses(tenant_id), query, key=lambda access: access.id)
        return json_response(page([self._shown(access) for access in rows], after))

    async def create(self, request: web.Request) -> web.Response:
        access = await self.add(await read_model(request, AccessIn), principal(request))
        return json_response(self._shown(access), status=201, headers={"Location": f"{PATH}/{access.id}"})

    async def add(self, body: AccessIn, who: Principal) -> Access:
        tenant = await tenant_for(self._registry, who, body.tenant)
        access = Access(
            id=self._registry.new_id(),
            tenant_id=tenant.id,
            name=body.name,
            type=AccessType(body.type),
            key_name=body.key_name,
            location=KeyLocation(body.location),
            client_id=body.client_id or "",
            client_secret=body.client_secret or "",
            api_key=body.api_key or "",
        )
        return await self._registry.add_access(access, by=who.actor)

    async def show(self, request: web.Request) -> web.Response:
        return json_response(self._shown(self._one(request, principal(request))))

    async def change(self, request: web.Request) -> web.Response:
        who, body = principal(request), await read_model(request, AccessPatch)
        return json_response(self._shown(await self.alter(self._one(request, who), body, who)))

    async def alter(self, access: Access, body: AccessPatch, who: Principal) -> Access:
        given = body.given()
        if given.pop("type", access.type) != access.type:
            raise invalid(FieldError("/type", "the type of an access cannot change; add another access"))
        changes: AccessChanges = {**given}  # type: ignore[typeddict-item]
        if "location" in given:
            changes["location"] = KeyLocation(given["location"])
        return await self._registry.change_access(access.id, changes, by=who.actor)

    async def remove(self, request: web.Request) -> web.Response:
        who = principal(request)
        await self._registry.remove_access(self._one(request, who).id, by=who.actor)
        return web.Response(status=204)

    def _one(self, request: web.Request, who: Principal) -> Access:
        return self.find(request.match_info["id"], who)

    def find(self, access_id: str, who: Principal) -> Access:
        """Problem 404 where there is none that `who` may see."""
        access = self._registry.access(access_id.lower())
        if access is None or not who.sees(access.tenant_id):
            raise Problem(404, "not-found", "there is no access with this id")
        return access

    def _shown(self, access: Access) -> AccessOut:
        return AccessOut(
            id=access.id,
            name=access.name,
            type=access.type,
            key_name=access.key_name,
            client_id=access.client_id or None,
            location=access.location,
            tenant=self._registry.tenant_by_id(access.tenant_id).name,
        )
