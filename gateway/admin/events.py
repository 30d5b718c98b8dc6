"""`/api/v1/events/{id}`: one event, its payload, and what became of it at each webhook."""

from __future__ import annotations

from aiohttp import web

from gateway.admin import present
from gateway.admin.auth import principal
from gateway.admin.read_schemas import EventOut
from gateway.admin.routes import Route
from gateway.errors import Problem
from gateway.http import json_response
from gateway.model import Role
from gateway.store.timeline import Timeline

PATH = "/api/v1/events"


class EventApi:
    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=PATH + "/{id}",
                handler=self.show,
                role=Role.VIEWER,
                summary="Show an event and its deliveries",
                tag="Events",
                description="Phone numbers are masked for viewers.",
                response_model=EventOut,
            )
        ]

    async def show(self, request: web.Request) -> web.Response:
        who = principal(request)
        view = await self._timeline.event(present.path_id(request, "event"), who.tenant_id)
        if view is None:
            raise Problem(404, "not-found", "there is no event with this id")
        return json_response(present.event(view, phones=present.sees_phone_numbers(who)))
