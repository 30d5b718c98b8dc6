"""Reports → Webhooks Logs: the attempts that a filter finds, newest first, and one attempt whole.

Invariant: a page is bounded by an attempt's id, so going on to older ones neither skips nor repeats any, however many
new ones come in meanwhile.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from aiohttp import web

from gateway.admin import present
from gateway.admin.auth import listed_tenant
from gateway.admin.read_schemas import ReplayEventIn
from gateway.admin.replays import ReplayApi
from gateway.catalog import EVENT_TYPES
from gateway.console.entry_view import EntryView, entry_view
from gateway.console.log_filter import PERIODS, LogFilter, read_filter
from gateway.console.visit import Page, Visit
from gateway.console.zone import Zone
from gateway.errors import Problem
from gateway.ids import floor_id, id_time
from gateway.model import Role, Webhook
from gateway.store.attempt_log import AttemptFilter, AttemptLog, AttemptSummary, Found
from gateway.store.timeline import DeliveryView, Timeline

PATH = "/reports/logs"
ENTRY = PATH + "/{id:[0-9a-fA-F-]{36}}"
PAGE_ROWS = 50
TAIL_ROWS = 100
TAIL_SPAN = timedelta(minutes=2)
"""How far back a look for new attempts reaches: one is logged when it ends, with the time at which it began."""
STEPS_LIMIT = 1_000
"""How often a page goes on searching by itself before it asks."""


@dataclass(frozen=True, slots=True)
class Row:
    """One attempt of the list. `result` is a few words; `webhook` None once it is deleted."""

    attempt: AttemptSummary
    at: datetime
    webhook: Webhook | None
    result: str


class LogPages:
    def __init__(self, log: AttemptLog, timeline: Timeline, replays: ReplayApi) -> None:
        self._log = log
        self._timeline = timeline
        self._replays = replays

    def pages(self) -> list[Page]:
        return [
            Page(method="GET", path=PATH, handler=self.list),
            Page(method="GET", path=PATH + "/tail", handler=self.tail),
            Page(method="GET", path=ENTRY, handler=self.show),
            Page(method="GET", path=ENTRY + "/request", handler=self.request),
            Page(method="GET", path=ENTRY + "/response", handler=self.response),
            Page(method="POST", path=ENTRY + "/replay", handler=self.replay, role=Role.OPERATOR),
        ]

    async def list(self, visit: Visit) -> web.Response:
        """The whole page; or only more rows, where a page searches on."""
        zone, now = Zone.of(visit.request), datetime.now(UTC)
        shown = log_filter(visit, zone, now)
        before_id = _before(visit)
        found = await self._found(shown.wanted, before_id, PAGE_ROWS)
        context: dict[str, Any] = {
            "filter": shown,
            "rows": rows(visit, found.attempts),
            "found": found,
            "looked_to": id_time(found.next_id) if found.next_id else None,
            "before": before_id,
            "path": PATH,
        }
        if visit.is_partial:
            step = _step(visit)
            return visit.page("logs_rows.html", **context, step=step + 1, goes_on=step < STEPS_LIMIT)
        return visit.page(
            "logs.html",
            **context,
            step=0,
            goes_on=True,
            now=now,
            periods=PERIODS,
            event_types=EVENT_TYPES,
            webhooks=_by_name(visit),
            is_live=before_id is None and shown.end is None and shown.wanted is not None,
        )

    async def tail(self, visit: Visit) -> web.Response:
        """The newest rows, to be put on top of those that are shown already."""
        zone, now = Zone.of(visit.request), datetime.now(UTC)
        wanted = log_filter(visit, zone, now).wanted
        if wanted is not None:
            since_id = floor_id(now - TAIL_SPAN)
            wanted = replace(wanted, from_id=max(since_id, wanted.from_id or since_id))
        found = await self._found(wanted, None, TAIL_ROWS)
        return visit.page("logs_tail.html", rows=rows(visit, found.attempts), zone=zone)

    async def show(self, visit: Visit) -> web.Response:
        view = await self._entry(visit)
        record = view.out
        event = None if record.test else await self._timeline.event(record.event_id, visit.who.tenant_id)
        deliveries: Sequence[DeliveryView] = event.deliveries if event else ()
        same = next((each for each in deliveries if each.webhook_id == record.webhook_id), None)
        webhooks = {webhook.id: webhook for webhook in visit.registry.webhooks(visit.who.tenant_id)}
        return visit.page(
            "log_entry.html",
            view=view,
            out=record,
            same=same,
            others=[each for each in deliveries if each.webhook_id != record.webhook_id],
            webhooks=webhooks,
            rows=rows(visit, list(reversed(same.attempts))) if same else [],
        )

    async def request(self, visit: Visit) -> web.Response:
        view = await self._entry(visit)
        return attachment(view.request, f"request-{view.out.id}.json", "application/json")

    async def response(self, visit: Visit) -> web.Response:
        view = await self._entry(visit)
        return attachment(view.response, f"response-{view.out.id}.txt", "text/plain")

    async def replay(self, visit: Visit) -> web.Response:
        found = await self._log.one(visit.id(), visit.who.tenant_id)
        if found is None or found.record.test:
            raise Problem(404, "not-found", "there is no delivery with this id; a test is sent again from its webhook")
        record = found.record
        replay = await self._replays.start(
            ReplayEventIn(event_id=record.event_id, webhook_id=record.webhook_id), visit.who
        )
        return visit.redirect(f"/reports/replays/{replay.id}")

    async def _entry(self, visit: Visit) -> EntryView:
        found = await self._log.one(present.path_id(visit.request, "attempt"), visit.who.tenant_id)
        if found is None:
            raise Problem(404, "not-found", "there is no attempt with this id; its day may have been dropped")
        return entry_view(found, phones=present.sees_phone_numbers(visit.who))

    async def _found(self, wanted: AttemptFilter | None, before_id: str | None, limit: int) -> Found:
        if wanted is None:
            return Found([], None, is_cut=False)
        if before_id is not None and (wanted.before_id is None or before_id < wanted.before_id):
            wanted = replace(wanted, before_id=before_id)
        return await self._log.search(wanted, limit)


def log_filter(visit: Visit, zone: Zone, now: datetime) -> LogFilter:
    return read_filter(visit.request.query, visit.who, visit.registry, zone=zone, now=now)


def rows(visit: Visit, attempts: Sequence[AttemptSummary]) -> Sequence[Row]:
    return [
        Row(attempt, id_time(attempt.id), visit.registry.webhook(attempt.webhook_id), _result(attempt))
        for attempt in attempts
    ]


def attachment(text: str, name: str, content_type: str) -> web.Response:
    """A file to keep: never shown, never run."""
    return web.Response(
        body=text.encode("utf-8", "replace"),
        headers={
            "Content-Type": f"{content_type}; charset=utf-8",
            "Content-Disposition": f'attachment; filename="{name}"',
            "X-Content-Type-Options": "nosniff",
            "Content-Security-Policy": "default-src 'none'; sandbox",
            "Cache-Control": "no-store",
        },
    )


def _result(attempt: AttemptSummary) -> str:
    words = present.diagnosis(attempt)
    return str(attempt.status) if words is None else words.title


def _before(visit: Visit) -> str | None:
    """Where to go on, as a link of ours said it; anything else is the beginning."""
    text = visit.request.query.get("before", "").lower()
    return text if len(text) == 36 and set(text) <= set("0123456789abcdef-") and text.count("-") == 4 else None


def _step(visit: Visit) -> int:
    """How often this page has gone on searching by itself."""
    text = visit.request.query.get("step", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 4 else STEPS_LIMIT


def _by_name(visit: Visit) -> Sequence[Webhook]:
    tenant_id = listed_tenant(visit.who, None, visit.registry)
    return sorted(visit.registry.webhooks(tenant_id), key=lambda webhook: (webhook.name.casefold(), webhook.id))
