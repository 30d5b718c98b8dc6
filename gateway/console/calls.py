"""A call's timeline: its events, and what became of each at every webhook."""

from __future__ import annotations

from datetime import UTC, datetime

import orjson
from aiohttp import web

from gateway.admin import present
from gateway.admin.calls import CALL_ID_CHARS
from gateway.console.call_picture import picture
from gateway.console.json_view import tokens
from gateway.console.visit import Page, Visit
from gateway.errors import Problem
from gateway.ids import id_time
from gateway.store.timeline import EventView, Timeline

PATH = "/reports/calls"


class CallPages:
    def __init__(self, timeline: Timeline) -> None:
        self._timeline = timeline

    def pages(self) -> list[Page]:
        return [
            Page(method="GET", path=PATH, handler=self.find),
            Page(method="GET", path=PATH + "/{call_id}", handler=self.show),
        ]

    async def find(self, visit: Visit) -> web.Response:
        """Where the form that asks for a call leads."""
        return visit.redirect(f"{PATH}/{_digits(visit.request.query.get('call_id', '').strip())}")

    async def show(self, visit: Visit) -> web.Response:
        call_id = _digits(visit.request.match_info["call_id"])
        events = await self._timeline.call(call_id, visit.who.tenant_id)
        if not events:
            raise _unknown()
        phones = present.sees_phone_numbers(visit.who)
        return visit.page(
            "call.html",
            call_id=call_id,
            picture=picture(events, datetime.now(UTC)),
            times={event.id: id_time(event.id) for event in events},
            payloads={event.id: tokens(_payload(event, phones=phones)) for event in events},
            webhooks={webhook.id: webhook for webhook in visit.registry.webhooks(visit.who.tenant_id)},
            diagnosis=present.diagnosis,
        )


def _digits(text: str) -> str:
    if not (text.isascii() and text.isdigit() and len(text) <= CALL_ID_CHARS):
        raise _unknown()
    return str(int(text))


def _payload(event: EventView, *, phones: bool) -> str:
    return orjson.dumps(present.event(event, phones=phones).data).decode("utf-8", "replace")


def _unknown() -> Problem:
    return Problem(404, "not-found", "no event of a call with this id was accepted, or its day has been dropped")
