"""`/api/v1/event-types`: the catalog, with a schema, a sample and a description of every field."""

from __future__ import annotations

import orjson
from aiohttp import web

from gateway import catalog
from gateway.admin.paging import Page, PageQuery, page, paged
from gateway.admin.read_schemas import EventFieldOut, EventTypeOut
from gateway.admin.routes import Route
from gateway.catalog import EventType
from gateway.errors import Problem
from gateway.http import json_response, parse_query
from gateway.model import Role

PATH = "/api/v1/event-types"
TAG = "Event types"


class EventTypeApi:
    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self.list,
                role=Role.VIEWER,
                summary="List the event types",
                tag=TAG,
                query_model=PageQuery,
                response_model=Page[EventTypeOut],
            ),
            Route(
                method="GET",
                path=PATH + "/{name}",
                handler=self.show,
                role=Role.VIEWER,
                summary="Show an event type",
                tag=TAG,
                description="By name or by title.",
                response_model=EventTypeOut,
            ),
        ]

    async def list(self, request: web.Request) -> web.Response:
        query = parse_query(PageQuery, request.query)
        rows, after = paged("event-types", catalog.EVENT_TYPES, query, key=lambda each: each.name)
        return json_response(page([_shown(each) for each in rows], after))

    async def show(self, request: web.Request) -> web.Response:
        name = catalog.resolve(request.match_info["name"])
        if name is None:
            raise Problem(404, "not-found", f"there is no such event type; known are {', '.join(catalog.BY_NAME)}")
        return json_response(_shown(catalog.BY_NAME[name]))


def _shown(event_type: EventType) -> EventTypeOut:
    return EventTypeOut(
        name=event_type.name,
        title=event_type.title,
        when=event_type.when,
        operational=event_type.operational,
        fields=[
            EventFieldOut(
                name=field.name,
                type=catalog.json_type(field),
                description=field.description,
                required=field.required,
                personal=field.personal,
            )
            for field in event_type.fields
        ],
        json_schema=event_type.schema,
        sample=orjson.Fragment(event_type.sample),
    )
