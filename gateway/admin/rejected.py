"""`/api/v1/rejected`: what was refused with 422, to be seen, mended and pushed again.

Invariant: a rejection leaves the list only after its event was accepted, or when an operator discards it; pushing one
again twice makes one event.
"""

from __future__ import annotations

from collections.abc import Awaitable
from typing import Protocol

import msgspec
from aiohttp import web

from gateway import catalog
from gateway.admin import present
from gateway.admin.auth import Principal, Tenants, listed_tenant, owning_tenant, principal
from gateway.admin.paging import Page, TenantPageQuery, decode_cursor, encode_cursor, page
from gateway.admin.read_schemas import AcceptedOut, MendedPayload, RejectedOut, ResubmitQuery
from gateway.admin.routes import Route
from gateway.errors import FieldError, Problem
from gateway.http import invalid, json_response, parse_query, read_body
from gateway.ids import IdSource
from gateway.model import Role
from gateway.store.audit import AuditEntry
from gateway.store.rejected import BODY_LIMIT_BYTES, RejectedStore, Rejection

PATH = "/api/v1/rejected"
TAG = "Rejected"


class Submit(Protocol):
    """The door: checks an event and answers its id, and whether it had been pushed before, once it is committed."""

    def __call__(
        self, tenant_id: int, type: str, payload: bytes, *, key: str | None = None
    ) -> Awaitable[tuple[str, bool]]: ...


class Envelope(msgspec.Struct):
    """The form that `POST /v1/events` takes."""

    type: str
    data: msgspec.Raw


class RejectedApi:
    def __init__(self, store: RejectedStore, tenants: Tenants, *, submit: Submit, ids: IdSource) -> None:
        self._store = store
        self._tenants = tenants
        self._submit = submit
        self._ids = ids

    def routes(self) -> list[Route]:
        one = PATH + "/{id}"
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self.list,
                role=Role.VIEWER,
                summary="List what was rejected",
                tag=TAG,
                description="Newest first. The oldest are dropped where there are very many.",
                query_model=TenantPageQuery,
                response_model=Page[RejectedOut],
            ),
            Route(
                method="GET",
                path=one,
                handler=self.show,
                role=Role.VIEWER,
                summary="Show what was rejected",
                tag=TAG,
                response_model=RejectedOut,
            ),
            Route(
                method="DELETE",
                path=one,
                handler=self.discard,
                role=Role.OPERATOR,
                summary="Discard what was rejected",
                tag=TAG,
                status=204,
            ),
            Route(
                method="POST",
                path=one + "/resubmit",
                handler=self.resubmit,
                role=Role.OPERATOR,
                summary="Push it again",
                tag=TAG,
                description="With the mended payload as the body, or with none to try the same bytes again.",
                request_model=MendedPayload,
                optional_body=True,
                query_model=ResubmitQuery,
                response_model=AcceptedOut,
                status=202,
                problems=(413,),
            ),
        ]

    async def list(self, request: web.Request) -> web.Response:
        who, query = principal(request), parse_query(TenantPageQuery, request.query)
        tenant_id = listed_tenant(who, query.tenant, self._tenants)
        position = decode_cursor("rejected", query.cursor)
        before_id = str(position[0]) if position else None
        found = await self._store.page(tenant_id=tenant_id, before_id=before_id, limit=query.limit + 1)
        shown = found[: query.limit]
        after = encode_cursor("rejected", [shown[-1].id]) if len(found) > len(shown) else None
        return json_response(page([self._shown(each, who) for each in shown], after))

    async def show(self, request: web.Request) -> web.Response:
        who = principal(request)
        return json_response(self._shown(await self._one(request, who), who))

    async def discard(self, request: web.Request) -> web.Response:
        who = principal(request)
        await self.drop(await self._one(request, who), who)
        return web.Response(status=204)

    async def drop(self, rejection: Rejection, who: Principal) -> None:
        await self._store.remove(rejection.id, self._entry(rejection, who, "rejected.discard", {}))

    async def resubmit(self, request: web.Request) -> web.Response:
        who, query = principal(request), parse_query(ResubmitQuery, request.query)
        rejection = await self._one(request, who)
        body = await read_body(request, BODY_LIMIT_BYTES) or rejection.body
        event_id, duplicate = await self.push(rejection, body, who, type=query.type, tenant=query.tenant)
        return json_response(AcceptedOut(id=event_id, duplicate=duplicate), status=202)

    async def push(
        self, rejection: Rejection, body: bytes, who: Principal, *, type: str | None, tenant: str | None
    ) -> tuple[str, bool]:
        """The id of the event that `body` has become, and whether it had been pushed before.

        `type` and `tenant` say what the rejected push left open.
        """
        type, payload = _event_of(type or catalog.resolve(rejection.type or ""), body)
        tenant_id = rejection.tenant_id
        if tenant_id is None:
            tenant_id = owning_tenant(who, tenant, self._tenants).id
        # The key makes one event of two resubmissions at once, or of one whose answer was lost.
        event_id, duplicate = await self._submit(tenant_id, type, payload, key=f"rejected:{rejection.id}")
        entry = self._entry(rejection, who, "rejected.resubmit", {"event_id": event_id})
        await self._store.remove(rejection.id, entry)
        return event_id, duplicate

    async def _one(self, request: web.Request, who: Principal) -> Rejection:
        return await self.find(present.path_id(request, "rejected push"), who)

    async def find(self, rejection_id: str, who: Principal) -> Rejection:
        """Problem 404 where there is none that `who` may see."""
        found = await self._store.one(rejection_id, who.tenant_id)
        if found is None:
            raise Problem(404, "not-found", "there is no rejected push with this id; it may have been resubmitted")
        return found

    def _shown(self, rejection: Rejection, who: Principal) -> RejectedOut:
        tenant = None if rejection.tenant_id is None else self._tenants.tenant_by_id(rejection.tenant_id).name
        return present.rejection(rejection, tenant, phones=present.sees_phone_numbers(who))

    def _entry(self, rejection: Rejection, who: Principal, action: str, detail: dict[str, object]) -> AuditEntry:
        return AuditEntry(self._ids.next(), rejection.tenant_id, who.actor, action, rejection.id, detail)


def _event_of(type: str | None, body: bytes) -> tuple[str, bytes]:
    """What to push: the body as the payload of a known type, else as an envelope that names its own."""
    if type is not None:
        return type, body
    try:
        envelope = msgspec.json.decode(body, type=Envelope)
    except (msgspec.MsgspecError, RecursionError):
        envelope = None
    type = None if envelope is None else catalog.resolve(envelope.type)
    if envelope is None or type is None:
        known = ", ".join(catalog.BY_NAME)
        raise invalid(FieldError("type", f"say which event this is, e.g. ?type=call.created; known are {known}"))
    return type, bytes(envelope.data)
