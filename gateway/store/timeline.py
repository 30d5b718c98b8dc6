"""Events with what became of them: one by its id, or all of one call in the order in which they were accepted.

Invariant: a delivery's state is derived here and nowhere else. It follows from its row if it has one, else from its
attempts; one that has neither was just accepted and waits in memory.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

import asyncpg

from gateway.model import DeliveryState, WebhookState
from gateway.store.attempt_log import SUMMARY_COLUMNS, AttemptSummary, summary
from gateway.store.reading import Connection, Database

CALL_EVENTS_LIMIT = 1_000
"""A call has three events; more come only from a switch that repeats itself."""
EVENT_ATTEMPTS_LIMIT = 5_000
"""The most attempts that are shown of the events asked for, the oldest first."""

_EVENT_COLUMNS = "e.id::text, e.type, t.name AS tenant, e.payload, e.webhook_ids::text[] AS webhook_ids"

EVENT = f"""
SELECT {_EVENT_COLUMNS} FROM events AS e JOIN tenants AS t ON t.id = e.tenant_id
WHERE e.id = $1 AND ($2::integer IS NULL OR e.tenant_id = $2)
"""  # noqa: S608 (no input in it)

CALL = f"""
SELECT {_EVENT_COLUMNS} FROM events AS e JOIN tenants AS t ON t.id = e.tenant_id
WHERE e.call_key = $1 AND ($2::integer IS NULL OR e.tenant_id = $2)
ORDER BY e.id LIMIT $3
"""  # noqa: S608 (no input in it)

# Tests are of no event, and so never among these.
ATTEMPTS = f"""
SELECT {SUMMARY_COLUMNS} FROM attempts AS a
WHERE a.event_id = ANY($1::uuid[]) AND NOT a.test ORDER BY a.id LIMIT $2
"""  # noqa: S608 (no input in it)

ROWS = """
SELECT event_id::text, webhook_id::text, state, next_at FROM deliveries WHERE event_id = ANY($1::uuid[])
"""

WEBHOOK_STATES = """
SELECT id::text, state FROM webhooks WHERE id = ANY($1::uuid[])
"""


@dataclass(frozen=True, slots=True)
class DeliveryView:
    """What became of an event at one webhook. `next_at` is when a retry is due; `attempts` are oldest first."""

    webhook_id: str
    state: DeliveryState
    next_at: datetime | None
    attempts: tuple[AttemptSummary, ...]


@dataclass(frozen=True, slots=True)
class EventView:
    id: str
    type: str
    tenant: str
    payload: bytes
    deliveries: tuple[DeliveryView, ...]


class Timeline:
    """Reads `events` together with their attempts and deliveries."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def event(self, event_id: str, tenant_id: int | None) -> EventView | None:
        async with self._database.reading() as connection:
            views = await _views(connection, await connection.fetch(EVENT, event_id, tenant_id))
        return views[0] if views else None

    async def call(self, call_key: str, tenant_id: int | None) -> list[EventView]:
        """At most `CALL_EVENTS_LIMIT` events, in the order of their ids."""
        async with self._database.reading() as connection:
            return await _views(connection, await connection.fetch(CALL, call_key, tenant_id, CALL_EVENTS_LIMIT))


async def _views(connection: Connection, events: Sequence[asyncpg.Record]) -> list[EventView]:
    event_ids = [event["id"] for event in events]
    if not event_ids:
        return []
    found: dict[str, dict[str, _Found]] = {
        event["id"]: {webhook_id: _Found([], None) for webhook_id in event["webhook_ids"]} for event in events
    }
    for row in await connection.fetch(ATTEMPTS, event_ids, EVENT_ATTEMPTS_LIMIT):
        found[row["event_id"]].setdefault(row["webhook_id"], _Found([], None)).attempts.append(summary(row))
    for row in await connection.fetch(ROWS, event_ids):
        found[row["event_id"]].setdefault(row["webhook_id"], _Found([], None)).row = row
    webhook_ids = {webhook_id for of_event in found.values() for webhook_id in of_event}
    rows = await connection.fetch(WEBHOOK_STATES, list(webhook_ids))
    states = {row["id"]: WebhookState(row["state"]) for row in rows}
    return [_event_view(event, found[event["id"]], states) for event in events]


@dataclass(slots=True)
class _Found:
    """What the store has of one delivery."""

    attempts: list[AttemptSummary]
    row: asyncpg.Record | None


def _event_view(event: asyncpg.Record, found: Mapping[str, _Found], states: Mapping[str, WebhookState]) -> EventView:
    deliveries = []
    for webhook_id, of_webhook in sorted(found.items()):
        row = of_webhook.row
        state = delivery_state(
            stored=None if row is None else DeliveryState(row["state"]),
            attempted=bool(of_webhook.attempts),
            succeeded=any(attempt.ok for attempt in of_webhook.attempts),
            webhook=states.get(webhook_id),
        )
        next_at = row["next_at"] if row is not None and state is DeliveryState.RETRYING else None
        deliveries.append(DeliveryView(webhook_id, state, next_at, tuple(of_webhook.attempts)))
    return EventView(event["id"], event["type"], event["tenant"], event["payload"], tuple(deliveries))


def delivery_state(
    *, stored: DeliveryState | None, attempted: bool, succeeded: bool, webhook: WebhookState | None
) -> DeliveryState:
    """`stored` is the row's state, None without a row; `webhook` is None once it is deleted, and owes nothing more."""
    if stored is None and succeeded:
        return DeliveryState.DELIVERED
    if stored is DeliveryState.FAILED or webhook is None:
        return DeliveryState.FAILED
    if webhook is not WebhookState.ACTIVE:
        return DeliveryState.HELD
    if stored is None:
        return DeliveryState.RETRYING if attempted else DeliveryState.QUEUED
    return stored
