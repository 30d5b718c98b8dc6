"""A contact center's morning, for pictures: calls as they come, the systems that take them, and what goes wrong.

Invariant: what is logged is what is counted, so the log and the overview tell the same story.
"""

from __future__ import annotations

import json
import random
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from gateway.catalog import BY_NAME
from gateway.ids import IdSource, id_time
from gateway.model import DeliveryState, ErrorKind, Event, Webhook
from gateway.store.minutes import MinuteStore
from gateway.telemetry.rollup import Rollup
from tests.integration.console.site import Site

LENGTH = timedelta(hours=3)
CALL_EVERY = timedelta(seconds=45)
OUTAGE = timedelta(minutes=41), timedelta(minutes=34)
"""The CRM is down from so long ago until so long ago."""
EXPIRED = timedelta(minutes=22)
"""So long ago the wallboard's key expired."""
RETRY_WAITS = timedelta(seconds=5), timedelta(minutes=5)
STEPS = (("call.created", timedelta()), ("call.ended", timedelta(seconds=95)), ("call.saved", timedelta(seconds=122)))
ANSWERS = {200: b'{"status":"stored"}', 503: b"upstream is restarting", 401: b'{"error":"this key has expired"}'}
ANSWER_HEADERS = b"content-type: application/json\r\nserver: nginx\r\nx-request-id: 8c1f2a7be0\r\n"
HEADERS = (
    b"content-type: application/json\r\nauthorization: Basic Y3Jt****\r\nwebhook-event: %b\r\nwebhook-attempt: %d\r\n"
)


@dataclass(slots=True)
class Morning:
    """Writes it for `crm`, `warehouse` and `wallboard`; `now` is its end."""

    site: Site
    now: datetime
    crm: Webhook
    warehouse: Webhook
    wallboard: Webhook
    chance: random.Random = field(default_factory=lambda: random.Random(7))
    counted: dict[int, Rollup] = field(default_factory=lambda: defaultdict(Rollup))
    failed_id: str = ""
    """The newest attempt that was refused."""
    call_id: str = ""
    """A call that went through the outage."""

    async def write(self) -> None:
        at, call_id = self.now - LENGTH, 48_211_307
        while at < self.now - STEPS[-1][1]:
            await self._call(at, call_id)
            at += CALL_EVERY * self.chance.uniform(0.3, 1.7)
            call_id += self.chance.randint(1, 9)
        store = MinuteStore(self.site.database)
        for minute, rollup in sorted(self.counted.items()):
            await store.add(rollup.take(minute * 60))
        self.site.ids = IdSource()

    async def _call(self, began: datetime, call_id: int) -> None:
        free: dict[str, datetime | None] = {}  # when each webhook has settled what came of this call so far
        for type, later in STEPS:
            at = began + later
            payload = json.loads(BY_NAME[type].sample) | {
                "call_id": call_id,
                "call_date": f"{began:%Y-%m-%d %H:%M:%S}",
                "lead_id": 65_000 + call_id % 997,
                "account_id": str(20_000_000 + call_id % 7_919),
            }
            takers = [each for each in (self.crm, self.warehouse, self.wallboard) if type in each.events]
            self.site.ids = _ids_at(at)
            event = await self.site.event(*takers, type=type, payload=json.dumps(payload, indent=2).encode())
            self.counted[_minute(at)].accepted([event])
            for webhook in takers:
                earliest = free.get(webhook.id, at)
                if earliest is None:
                    await self.site.row(event, webhook, DeliveryState.QUEUED, attempts=0, tries=0, next_at=at)
                    continue
                start = max(at, earliest) + timedelta(milliseconds=self.chance.uniform(1, 4))
                free[webhook.id] = await self._deliver(event, webhook, start)

    async def _deliver(self, event: Event, webhook: Webhook, at: datetime) -> datetime | None:
        """Attempts until one succeeds, or the morning is over; when it was settled, None if it was not."""
        number, ago = 1, self.now - at
        while (status := self._answer(webhook, at)) != 200 and number <= len(RETRY_WAITS):
            attempt_id = await self._attempt(event, webhook, at, number=number, status=status)
            if status == 401:
                self.failed_id = attempt_id
            elif number == 1 and event.type == "call.created" and OUTAGE[1] + RETRY_WAITS[1] > ago:
                self.call_id = event.call_key or ""
            at += RETRY_WAITS[number - 1]
            number += 1
        if at < self.now and status == 200:
            await self._attempt(event, webhook, at, number=number, status=status)
        elif status != 200:
            state = DeliveryState.FAILED if at < self.now else DeliveryState.RETRYING
            await self.site.row(event, webhook, state, attempts=number - 1, tries=number - 1, next_at=at)
            return at if state is DeliveryState.FAILED else None
        return at

    def _answer(self, webhook: Webhook, at: datetime) -> int:
        ago = self.now - at
        if webhook is self.crm and OUTAGE[1] < ago < OUTAGE[0]:
            return 503
        return 401 if webhook is self.wallboard and ago < EXPIRED else 200

    async def _attempt(self, event: Event, webhook: Webhook, at: datetime, *, number: int, status: int) -> str:
        ms = self.chance.lognormvariate(3.2 if webhook is self.warehouse else 2.6, 0.45)
        phases = (("queued", 0.02), ("wait", ms - 0.4), ("read", 0.38))
        rollup = self.counted[_minute(at)]
        rollup.attempted(webhook, status == 200, int(ms * 1000))
        if number == 1:
            rollup.started(webhook, (at - id_time(event.id)).total_seconds())
        more: dict[str, Any] = {"error": None if status == 200 else ErrorKind.STATUS, "phases_ms": phases}
        return await self.site.attempt(
            event,
            webhook,
            id=_ids_at(at).next(),
            number=number,
            status=status,
            duration_us=int(ms * 1000),
            request_headers=HEADERS % (event.type.encode(), number),
            response_headers=ANSWER_HEADERS,
            response_body=ANSWERS[status],
            **more,
        )


def _ids_at(at: datetime) -> IdSource:
    return IdSource(clock_ms=lambda: int(at.timestamp() * 1000))


def _minute(at: datetime) -> int:
    return int(at.timestamp() // 60)
