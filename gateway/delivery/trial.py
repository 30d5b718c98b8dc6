"""The test button: one attempt with an event type's sample, now, outside of every queue.

Invariant: a test of a webhook is logged like any attempt, marked as one, and settles nothing.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from time import time

from gateway.catalog import BY_NAME
from gateway.delivery.attempt import attempt_record
from gateway.delivery.recorder import Entry, Recorder
from gateway.delivery.request import Wire
from gateway.delivery.transport import Target, Transport
from gateway.ids import IdSource
from gateway.log import AttemptRecord
from gateway.model import Event, Outcome, Webhook


class Trial:
    """Sends samples. Each has connections of its own, so that it neither waits for the lane nor disturbs it."""

    def __init__(
        self,
        *,
        transport: Transport,
        recorder: Recorder,
        ids: IdSource,
        parse_target: Callable[[str], Target],
    ) -> None:
        self._transport = transport
        self._recorder = recorder
        self._ids = ids
        self._parse_target = parse_target

    async def send(self, webhook: Webhook, type: str) -> AttemptRecord:
        """One attempt; returns what is logged of it once it is in the log."""
        record = await self.attempt(webhook, type)
        self._recorder.add(Entry(None, record))
        await self._recorder.flushed()
        return record

    async def attempt(self, webhook: Webhook, type: str) -> AttemptRecord:
        """One attempt, which leaves no trace here: what would be logged of it."""
        event = Event(
            id=self._ids.next(),
            tenant_id=webhook.tenant_id,
            type=type,
            call_key=None,
            account_id=None,
            payload=BY_NAME[type].sample,
            webhook_ids=(webhook.id,),
        )
        wire = Wire(webhook, self._parse_target)
        built = wire.build(event, attempt=1, now_s=int(time()))
        attempt_id = self._ids.next()
        answer: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        pool = self._transport.pool(max_connections=1)
        try:
            pool.send(built.request, lambda outcome: None if answer.done() else answer.set_result(outcome))
            outcome = await answer
        finally:
            await pool.close()
        return attempt_record(attempt_id, webhook, event, wire, built, outcome, number=1, test=True)
