"""`/api/v1/ports`: target ports beyond the standard ones, asked for by webhooks and decided by operators.

Invariant: a decision is taken by an unbound token. A port leads out of the whole installation, so a
customer's own operator sees what concerns them and asks, by saving a webhook.
"""

from __future__ import annotations

from aiohttp import web

from gateway.admin.auth import Principal, listed_tenant, principal
from gateway.admin.paging import Page, TenantPageQuery, page, paged
from gateway.admin.routes import Route
from gateway.admin.schemas import PortIn, PortOut, PortPatch
from gateway.admin.tenants import tenant_for
from gateway.errors import Problem
from gateway.http import json_response, parse_query, read_model
from gateway.model import PortRule, PortState, Role
from gateway.registry.registry import Registry

PATH = "/api/v1/ports"


class PortApi:
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
                summary="List what is asked for, open and denied",
                tag="Ports",
                description="The ports of the setting GATEWAY_EGRESS_PORTS are open beside these.",
                query_model=TenantPageQuery,
                response_model=Page[PortOut],
            ),
            Route(
                method="POST",
                path=PATH,
                handler=self.create,
                role=Role.OPERATOR,
                summary="Open a port",
                tag="Ports",
                description="Webhooks that were blocked on it deliver at once.",
                request_model=PortIn,
                response_model=PortOut,
                status=201,
                problems=(409,),
            ),
            Route(
                method="GET",
                path=one,
                handler=self.show,
                role=Role.VIEWER,
                summary="Show a port",
                tag="Ports",
                response_model=PortOut,
            ),
            Route(
                method="PATCH",
                path=one,
                handler=self.decide,
                role=Role.OPERATOR,
                summary="Decide on a port",
                tag="Ports",
                request_model=PortPatch,
                response_model=PortOut,
            ),
            Route(
                method="DELETE",
                path=one,
                handler=self.remove,
                role=Role.OPERATOR,
                summary="Close a port",
                tag="Ports",
                description="Webhooks that need it are blocked, and ask for it anew.",
                status=204,
            ),
        ]

    async def list(self, request: web.Request) -> web.Response:
        query = parse_query(TenantPageQuery, request.query)
        tenant_id = listed_tenant(principal(request), query.tenant, self._registry)
        rows, after = paged("ports", self._registry.ports(tenant_id), query, key=lambda rule: rule.id)
        return json_response(page([self._shown(rule) for rule in rows], after))

    async def create(self, request: web.Request) -> web.Response:
        rule = await self.add(await read_model(request, PortIn), principal(request))
        return json_response(self._shown(rule), status=201, headers={"Location": f"{PATH}/{rule.id}"})

    async def add(self, body: PortIn, who: Principal) -> PortRule:
        check_decider(who)
        tenant = await tenant_for(self._registry, who, body.tenant) if body.tenant else None
        return await self._registry.decide_port(
            body.port,
            PortState(body.state),
            host=body.host,
            tenant_id=tenant.id if tenant else None,
            by=who.actor,
        )

    async def show(self, request: web.Request) -> web.Response:
        return json_response(self._shown(self._one(request, principal(request))))

    async def decide(self, request: web.Request) -> web.Response:
        who, body = principal(request), await read_model(request, PortPatch)
        check_decider(who)
        rule = self._one(request, who)
        return json_response(
            self._shown(await self._registry.change_port(rule.id, PortState(body.state), by=who.actor))
        )

    async def remove(self, request: web.Request) -> web.Response:
        who = principal(request)
        check_decider(who)
        await self._registry.remove_port(self._one(request, who).id, by=who.actor)
        return web.Response(status=204)

    def _one(self, request: web.Request, who: Principal) -> PortRule:
        return self.find(request.match_info["id"], who)

    def find(self, rule_id: str, who: Principal) -> PortRule:
        """Problem 404 where there is none that `who` may see."""
        rule = self._registry.port(rule_id.lower())
        if rule is None or not (rule.tenant_id is None or who.sees(rule.tenant_id)):
            raise Problem(404, "not-found", "there is no port entry with this id")
        return rule

    def _shown(self, rule: PortRule) -> PortOut:
        tenant = None if rule.tenant_id is None else self._registry.tenant_by_id(rule.tenant_id).name
        return PortOut(id=rule.id, port=rule.port, host=rule.host, tenant=tenant, state=rule.state)


def check_decider(who: Principal) -> None:
    """Problem 403 for those who ask for ports, and do not decide on them."""
    if who.tenant_id is not None:
        raise Problem(403, "forbidden", "ports are decided by operators of the installation, not of one tenant")
