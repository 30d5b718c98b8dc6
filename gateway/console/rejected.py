"""Operations → Rejected events: what the switch pushed and the gateway could not take, to be mended and pushed again.

Invariant: text that nobody touched is pushed as the very bytes that came; a text area would change their line ends.
"""

from __future__ import annotations

from typing import Any

from aiohttp import web

from gateway import catalog
from gateway.admin import present
from gateway.admin.paging import decode_cursor, encode_cursor
from gateway.admin.rejected import RejectedApi
from gateway.catalog import EVENT_TYPES
from gateway.console.forms import Errors, field_errors
from gateway.console.json_view import tokens, visible
from gateway.console.visit import Page, Visit
from gateway.errors import FieldError, Problem
from gateway.ids import id_time
from gateway.model import Role
from gateway.store.rejected import BODY_LIMIT_BYTES, RejectedStore, Rejection

PATH = "/operations/rejected"
ROWS = 50
FORM_BYTES = 4 * BODY_LIMIT_BYTES
"""A form spells many bytes as three."""


class RejectedPages:
    """`api` pushes again and discards what is in `store`."""

    def __init__(self, store: RejectedStore, api: RejectedApi) -> None:
        self._store = store
        self._api = api

    def pages(self) -> list[Page]:
        one = PATH + "/{id}"
        return [
            Page(method="GET", path=PATH, handler=self.index),
            Page(method="GET", path=one, handler=self.show),
            Page(method="POST", path=one + "/push", handler=self.push, role=Role.OPERATOR, form_bytes=FORM_BYTES),
            Page(method="POST", path=one + "/discard", handler=self.discard, role=Role.OPERATOR),
        ]

    async def index(self, visit: Visit) -> web.Response:
        position = decode_cursor("rejected", visit.request.query.get("cursor"))
        before_id = str(position[0]) if position else None
        found = await self._store.page(tenant_id=visit.who.tenant_id, before_id=before_id, limit=ROWS + 1)
        shown = found[:ROWS]
        context: dict[str, Any] = {
            "rows": [(each, id_time(each.id), _why(each)) for each in shown],
            "cursor": encode_cursor("rejected", [shown[-1].id]) if len(found) > ROWS else None,
            "is_first": before_id is None,
        }
        return visit.page("rejected_list.html", **context)

    async def show(self, visit: Visit) -> web.Response:
        rejection = await self._find(visit)
        return self._page(visit, rejection, _text(rejection))

    async def push(self, visit: Visit) -> web.Response:
        rejection = await self._find(visit)
        text = visit.form.raw("body").replace("\r\n", "\n")
        untouched = text == _text(rejection)
        body = rejection.body if untouched else text.encode()
        type, tenant = visit.form.text("type") or None, visit.form.text("tenant") or None
        try:
            event_id, _ = await self._api.push(rejection, body, visit.who, type=type, tenant=tenant)
        except Problem as problem:
            if problem.status != 422:
                raise
            return self._page(visit, rejection, text, problem)
        notice = f"It was accepted as the event {event_id}, and goes to the webhooks that take it."
        return visit.redirect(PATH, notice=notice)

    async def discard(self, visit: Visit) -> web.Response:
        await self._api.drop(await self._find(visit), visit.who)
        return visit.redirect(PATH, notice="It was discarded. That you did is in the audit.")

    async def _find(self, visit: Visit) -> Rejection:
        return await self._api.find(present.path_id(visit.request, "rejected push"), visit.who)

    def _page(self, visit: Visit, rejection: Rejection, text: str, problem: Problem | None = None) -> web.Response:
        errors = rejection.errors if problem is None else problem.errors
        masked = present.rejection(rejection, None, phones=present.sees_phone_numbers(visit.who)).body
        context: dict[str, Any] = {
            "rejection": rejection,
            "at": id_time(rejection.id),
            "type": catalog.resolve(rejection.type or ""),
            "chosen": visit.form.text("type"),
            "text": text,
            "tokens": tokens(masked),
            "is_text": _is_text(rejection.body),
            "is_cut": len(rejection.body) >= BODY_LIMIT_BYTES,
            "wrong": [_said(error) for error in errors],
            "errors": Errors() if problem is None else field_errors(problem),
            "event_types": EVENT_TYPES,
            "names_tenant": rejection.tenant_id is None and visit.who.tenant_id is None,
        }
        return visit.page("rejected.html", status=422 if problem else 200, **context)


def _text(rejection: Rejection) -> str:
    return rejection.body.decode("utf-8", "replace").replace("\r\n", "\n")


def _is_text(body: bytes) -> bool:
    try:
        body.decode()
    except UnicodeDecodeError:
        return False
    return True


def _why(rejection: Rejection) -> str:
    """The first thing that was wrong with it."""
    return _said(rejection.errors[0]) if rejection.errors else ""


def _said(error: FieldError) -> str:
    """With its place, where that is not said anyway. Not begun with a capital: most begin with a member's name."""
    member = error.pointer.rpartition("/")[2]
    return visible(error.detail if member in error.detail else f"{error.pointer}: {error.detail}")
