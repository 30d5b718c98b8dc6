"""Reports → Replays: deliver again what a filter of the log shows, and watch it get done.

Invariant: what is going to be sent, and how much, is said before anything is; and it is what the log shows.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from gateway.admin import present
from gateway.admin.read_schemas import ReplayEventIn, ReplayRangeIn
from gateway.admin.replays import ReplayApi
from gateway.console.log_filter import LogFilter
from gateway.console.logs import log_filter
from gateway.console.visit import Page, Visit
from gateway.console.zone import Zone
from gateway.errors import Problem
from gateway.http import parse
from gateway.model import Role
from gateway.store.replays import Replay, ReplayStore

PATH = "/reports/replays"
ONE = PATH + "/{id:[0-9a-fA-F-]{36}}"
LIST_LIMIT = 50
LIMITS = {
    "event": "Event",
    "outcome": "Result of an attempt",
    "status": "Status of an attempt",
    "call_id": "Call ID",
    "account_id": "Account ID",
    "event_id": "Event ID",
    "tenant": "Customer",
}
"""What of the log's filter limits a replay, beside its webhook and its period, and what it is called."""
BODY = (
    "webhook_id",
    "from",
    "to",
    "only",
    "period_of",
    "event",
    "outcome",
    "status",
    "call_id",
    "account_id",
    "tenant",
)
EVER = datetime(2000, 1, 1, tzinfo=UTC)
"""Where a filter has no beginning."""


class ReplayPages:
    def __init__(self, store: ReplayStore, replays: ReplayApi) -> None:
        self._store = store
        self._replays = replays

    def pages(self) -> list[Page]:
        return [
            Page(method="GET", path=PATH, handler=self.list),
            Page(method="GET", path=PATH + "/new", handler=self.ask, role=Role.OPERATOR),
            Page(method="GET", path=PATH + "/count", handler=self.count, role=Role.OPERATOR),
            Page(method="POST", path=PATH, handler=self.start, role=Role.OPERATOR),
            Page(method="GET", path=ONE, handler=self.show),
            Page(method="POST", path=ONE + "/cancel", handler=self.cancel, role=Role.OPERATOR),
        ]

    async def list(self, visit: Visit) -> web.Response:
        found = await self._store.page(tenant_id=visit.who.tenant_id, before_id=None, limit=LIST_LIMIT)
        webhooks = {webhook.id: webhook for webhook in visit.registry.webhooks(visit.who.tenant_id)}
        return visit.page("replays.html", replays=found, webhooks=webhooks)

    async def ask(self, visit: Visit) -> web.Response:
        """What is going to be sent. The number is looked up when the page is there, for it may take seconds."""
        zone, now = Zone.of(visit.request), datetime.now(UTC)
        shown = log_filter(visit, zone, now)
        webhook = visit.registry.webhook(shown.values.get("webhook_id", ""))
        if webhook is not None and not visit.who.sees(webhook.tenant_id):
            webhook = None
        is_all = shown.values.get("outcome") == "success"
        return visit.page(
            "replay_new.html",
            filter=shown,
            limits=[(words, shown.values[name]) for name, words in LIMITS.items() if name in shown.values],
            fields=_fields(shown, now),
            webhook=webhook,
            tenants=[] if webhook is not None or "tenant" in shown.values else visit.tenants,
            begin=shown.begin or EVER,
            end=shown.end or now,
            is_all=is_all,
            only="all" if is_all else "failed",
            back=back(shown),
        )

    async def count(self, visit: Visit) -> web.Response:
        """How many deliveries it would be, as a part of the page."""
        query = visit.request.query
        body = {name: query[name] for name in BODY if query.get(name)}
        try:
            number = await self._replays.count(parse(ReplayRangeIn, body), visit.who)
        except Problem as problem:
            if problem.status != 422:
                raise
            return visit.page("replay_count.html", number=None, reason=_reason(problem))
        return visit.page("replay_count.html", number=number, reason=None)

    async def start(self, visit: Visit) -> web.Response:
        body = {name: visit.form.text(name) for name in BODY if name in visit.form}
        if visit.form.text("event_id"):
            event = {name: body[name] for name in ("webhook_id",) if name in body}
            asked = parse(ReplayEventIn, {"event_id": visit.form.text("event_id"), **event})
            replay = await self._replays.start(asked, visit.who)
        else:
            replay = await self._replays.start(parse(ReplayRangeIn, body), visit.who)
        return visit.redirect(f"{PATH}/{replay.id}")

    async def show(self, visit: Visit) -> web.Response:
        replay = await self._one(visit)
        context: dict[str, Any] = {
            "replay": replay,
            "share": share(replay),
            "webhook": visit.registry.webhook(replay.webhook_id) if replay.webhook_id else None,
        }
        return visit.page("replay_part.html" if visit.is_partial else "replay.html", **context)

    async def cancel(self, visit: Visit) -> web.Response:
        replay = await self._one(visit)
        await self._replays.withdraw(replay, visit.who)
        return visit.redirect(f"{PATH}/{replay.id}", notice="The replay was cancelled; what was in flight still ends.")

    async def _one(self, visit: Visit) -> Replay:
        found = await self._store.one(present.path_id(visit.request, "replay"), visit.who.tenant_id)
        if found is None:
            raise Problem(404, "not-found", "there is no replay with this id")
        return found


def share(replay: Replay) -> int:
    """How much of it is done, in percent."""
    if replay.state == "done" or replay.total == 0:
        return 100
    return min(99, 100 * replay.done // replay.total) if replay.total else 0


def _fields(shown: LogFilter, now: datetime) -> dict[str, str]:
    """The filter as the API's words, for attempts: what the log shows is what is replayed."""
    values = {name: shown.values[name] for name in (*LIMITS, "webhook_id") if name in shown.values}
    period = {"from": (shown.begin or EVER).isoformat(), "to": (shown.end or now).isoformat()}
    return values | period | {"period_of": "attempts"}


def _reason(problem: Problem) -> str:
    return problem.errors[0].detail if problem.errors else problem.detail


def back(shown: LogFilter) -> str:
    return f"/reports/logs?{shown.query()}"
