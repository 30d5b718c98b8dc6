"""Webhooks → Event Catalog: what each event means, every field of it, and an example.

Invariant: the page says what the catalog says, which is also what pushes are checked against.
"""

from __future__ import annotations

from aiohttp import web

from gateway.catalog import EVENT_TYPES, json_type
from gateway.console.json_view import tokens
from gateway.console.visit import Page, Visit

PATH = "/webhooks/events"


class EventPages:
    """The catalog does not change while the gateway runs, so its examples are taken apart once."""

    def __init__(self) -> None:
        self._samples = {each.name: tokens(each.sample.decode()) for each in EVENT_TYPES}

    def pages(self) -> list[Page]:
        return [Page(method="GET", path=PATH, handler=self.index)]

    async def index(self, visit: Visit) -> web.Response:
        return visit.page("events.html", event_types=EVENT_TYPES, samples=self._samples, json_type=json_type)
