"""`/api/v1/calls/{call_id}`: the timeline of one call."""

from __future__ import annotations

from aiohttp import web

from gateway.admin import present
from gateway.admin.auth import Tenants, listed_tenant, principal
from gateway.admin.read_schemas import CallOut, TenantQuery
from gateway.admin.routes import Route
from gateway.errors import Problem
from gateway.http import json_response, parse_query
from gateway.model import Role
from gateway.store.timeline import CALL_EVENTS_LIMIT, Timeline

PATH = "/api/v1/calls"
CALL_ID_CHARS = 19
"""As many digits as the greatest call id has."""


class CallApi:
    def __init__(self, timeline: Timeline, tenants: Tenants) -> None:
        self._timeline = timeline
        self._tenants = tenants

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=PATH + "/{call_id}",
                handler=self.show,
                role=Role.VIEWER,
                summary="Show the timeline of a call",
                tag="Events",
                description=f"Its events in the order of their acceptance, the first {CALL_EVENTS_LIMIT:,} of them.",
                query_model=TenantQuery,
                response_model=CallOut,
            )
        ]

    async def show(self, request: web.Request) -> web.Response:
        who = principal(request)
        query = parse_query(TenantQuery, request.query)
        call_id = request.match_info["call_id"]
        tenant_id = listed_tenant(who, query.tenant, self._tenants)
        known = call_id.isascii() and call_id.isdigit() and len(call_id) <= CALL_ID_CHARS
        views = await self._timeline.call(str(int(call_id)), tenant_id) if known else []
        if not views:
            raise Problem(404, "not-found", "no event of a call with this id was accepted")
        phones = present.sees_phone_numbers(who)
        events = [present.event(view, phones=phones) for view in views]
        return json_response(CallOut(call_id=str(int(call_id)), events=events))
