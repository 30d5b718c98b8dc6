"""`/api/v1/logs`: every attempt that was made, filtered, newest first."""

from __future__ import annotations

from typing import TypedDict

from aiohttp import web

from gateway.admin import present
from gateway.admin.auth import Tenants, listed_tenant, principal
from gateway.admin.paging import Page, decode_cursor, encode_cursor, page
from gateway.admin.period import id_bounds
from gateway.admin.read_schemas import AttemptInFullOut, AttemptOut, LogQuery, ReplayRangeIn
from gateway.admin.routes import Route
from gateway.errors import Problem
from gateway.http import json_response, parse_query
from gateway.model import Role
from gateway.store.attempt_log import AttemptFilter, AttemptLog

PATH = "/api/v1/logs"
TAG = "Logs"


class LogApi:
    def __init__(self, log: AttemptLog, tenants: Tenants) -> None:
        self._log = log
        self._tenants = tenants

    def routes(self) -> list[Route]:
        return [
            Route(
                method="GET",
                path=PATH,
                handler=self.list,
                role=Role.VIEWER,
                summary="List attempts",
                tag=TAG,
                description="Newest first. All filters that are given must match.",
                query_model=LogQuery,
                response_model=Page[AttemptOut],
            ),
            Route(
                method="GET",
                path=PATH + "/{id}",
                handler=self.show,
                role=Role.VIEWER,
                summary="Show an attempt with its request and its response",
                tag=TAG,
                description="Secrets are masked; so are phone numbers for viewers.",
                response_model=AttemptInFullOut,
            ),
        ]

    async def list(self, request: web.Request) -> web.Response:
        query = parse_query(LogQuery, request.query)
        tenant_id = listed_tenant(principal(request), query.tenant, self._tenants)
        found = await self._log.page(attempt_filter(query, tenant_id), query.limit + 1)
        shown = found[: query.limit]
        after = encode_cursor("logs", [shown[-1].id]) if len(found) > len(shown) else None
        return json_response(page([present.attempt(each) for each in shown], after))

    async def show(self, request: web.Request) -> web.Response:
        who = principal(request)
        found = await self._log.one(present.path_id(request, "attempt"), who.tenant_id)
        if found is None:
            raise Problem(404, "not-found", "there is no attempt with this id")
        return json_response(present.attempt_in_full(found, phones=present.sees_phone_numbers(who)))


def attempt_filter(query: LogQuery, tenant_id: int | None) -> AttemptFilter:
    """What a query asks of the log. Problem 422 where its period or its cursor is wrong."""
    from_id, before_id = id_bounds(query.begin, query.end, place="")
    position = decode_cursor("logs", query.cursor)
    if position is not None:  # it lies before the end of the period, being of an item in it
        before_id = str(position[0])
    return AttemptFilter(
        tenant_id=tenant_id,
        from_id=from_id,
        before_id=before_id,
        event_id=query.event_id,
        **asked_for(query),
    )


class Asked(TypedDict):
    """What the log and a replay can both be asked for, as the store calls it."""

    event_type: str | None
    webhook_id: str | None
    ok: bool | None
    statuses: tuple[int, int] | None
    call_key: str | None
    account_id: str | None


def asked_for(query: LogQuery | ReplayRangeIn) -> Asked:
    return Asked(
        event_type=query.event,
        webhook_id=query.webhook_id,
        ok=None if query.outcome is None else query.outcome == "success",
        statuses=None if query.status is None else _status_range(query.status),
        call_key=None if query.call_id is None else str(int(query.call_id)),
        account_id=query.account_id,
    )


def _status_range(status: str) -> tuple[int, int]:
    """The first and the last status that `503` or `5xx` means."""
    if status[1:].lower() == "xx":
        return int(status[0]) * 100, int(status[0]) * 100 + 99
    return int(status), int(status)
