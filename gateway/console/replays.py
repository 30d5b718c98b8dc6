"""Reports → Replays: deliver again what a filter of the log shows, and watch it get done.

Invariant: what is going to be sent is said, with its webhook and its period, before anything is.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from gateway.admin import present
from gateway.admin.read_schemas import ReplayRangeIn
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
UNSUITABLE = ("event", "status", "call_id", "account_id", "event_id")
"""Filters that a replay cannot follow: it is of a webhook and a period."""


class ReplayPages:
    def __init__(self, store: ReplayStore, replays: ReplayApi) -> None:
        self._store = store
        self._replays = replays

    def pages(self) -> list[Page]:
        return [
            Page(method="GET", path=PATH, handler=self.list),
            Page(method="GET", path=PATH + "/new", handler=self.ask, role=Role.OPERATOR),
            Page(method="POST", path=PATH, handler=self.start, role=Role.OPERATOR),
            Page(method="GET", path=ONE, handler=self.show),
            Page(method="POST", path=ONE + "/cancel", handler=self.cancel, role=Role.OPERATOR),
        ]

    async def list(self, visit: Visit) -> web.Response:
        found = await self._store.page(tenant_id=visit.who.tenant_id, before_id=None, limit=LIST_LIMIT)
        webhooks = {webhook.id: webhook for webhook in visit.registry.webhooks(visit.who.tenant_id)}
        return visit.page("replays.html", replays=found, webhooks=webhooks)

    async def ask(self, visit: Visit) -> web.Response:
        zone, now = Zone.of(visit.request), datetime.now(UTC)
        shown = log_filter(visit, zone, now)
        webhook = visit.registry.webhook(shown.values.get("webhook_id", ""))
        if webhook is not None and not visit.who.sees(webhook.tenant_id):
            webhook = None
        return visit.page(
            "replay_new.html",
            filter=shown,
            webhook=webhook,
            webhooks=sorted(visit.registry.webhooks(visit.who.tenant_id), key=lambda each: each.name.casefold()),
            ignored=[name for name in UNSUITABLE if name in shown.values],
            begin=shown.begin or datetime(2000, 1, 1, tzinfo=UTC),
            end=shown.end or now,
            is_all=shown.values.get("outcome") == "success",
            back=back(shown),
        )

    async def start(self, visit: Visit) -> web.Response:
        form = visit.form
        body = {name: form.text(name) for name in ("webhook_id", "from", "to", "only")}
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


def back(shown: LogFilter) -> str:
    return f"/reports/logs?{shown.query()}"
