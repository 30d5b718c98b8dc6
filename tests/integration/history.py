"""What happened before it is looked at: events, attempts and unsettled deliveries, written as the engine would."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from gateway.catalog import BY_NAME, check
from gateway.ids import IdSource
from gateway.log import AttemptRecord, DeliveryRow, NewEvent
from gateway.model import DeliveryState, ErrorKind, Event, Webhook, shard_of
from gateway.store.log import PostgresLog


class History:
    """A gateway that can be given a past."""

    ids: IdSource
    log: PostgresLog

    async def event(
        self, *webhooks: Webhook, type: str = "call.created", payload: bytes | None = None, tenant_id: int = 1
    ) -> Event:
        sent = BY_NAME[type].sample if payload is None else payload
        checked = check(type, sent)
        event = Event(
            id=self.ids.next(),
            tenant_id=tenant_id,
            type=type,
            call_key=checked.call_key,
            account_id=checked.account_id,
            payload=sent,
            webhook_ids=tuple(webhook.id for webhook in webhooks),
        )
        await self.log.append([NewEvent(event, shard_of(event))])
        return event

    async def attempt(self, event: Event, webhook: Webhook, *, status: int | None = 200, **more: Any) -> str:
        """Log one attempt that ended with a status, or with `error`; answers its id."""
        error = None if status is None or 200 <= status < 300 else ErrorKind.STATUS
        columns: dict[str, Any] = {
            "id": self.ids.next(),
            "event_id": event.id,
            "webhook_id": webhook.id,
            "tenant_id": event.tenant_id,
            "event_type": event.type,
            "number": 1,
            "test": False,
            "ok": status is not None and error is None,
            "status": status,
            "error": error,
            "detail": None,
            "duration_us": 1_500,
            "method": webhook.method,
            "url": webhook.url,
            "request_headers": b"content-type: application/json\r\nwebhook-id: x\r\nx-api-key: test123****\r\n",
            "body_key": None,
            "response_headers": None if status is None else b"content-type: text/plain\r\n",
            "response_body": None if status is None else b"ok",
            "truncated": False,
        }
        record = AttemptRecord(**(columns | more))
        await self.log.record([record])
        return record.id

    async def row(self, event: Event, webhook: Webhook, state: DeliveryState, **more: Any) -> DeliveryRow:
        """Put an unsettled delivery into the store."""
        columns: dict[str, Any] = {
            "call_key": event.call_key,
            "attempts": 1,
            "tries": 1,
            "next_at": datetime(2030, 1, 1, tzinfo=UTC),
            "wait_until": None,
        }
        row = DeliveryRow(
            webhook_id=webhook.id, event_id=event.id, shard=shard_of(event), state=state, **(columns | more)
        )
        await self.log.record([], changed=[row])
        return row
