"""Pauses the webhooks whose targets say that they are gone (410): nothing is sent there, and nothing dropped."""

from __future__ import annotations

import asyncio

import structlog

from gateway.errors import Problem, Unavailable
from gateway.model import WebhookState
from gateway.registry import Registry

REASON = "the target answered 410 Gone: it wants no more events; they are held until the webhook is resumed"
ACTOR = "gateway"
PAUSE_S = 1.0

log = structlog.get_logger(__name__)


class GoneWebhooks:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._ids: asyncio.Queue[str] = asyncio.Queue()

    def add(self, webhook_id: str) -> None:
        self._ids.put_nowait(webhook_id)

    async def run(self) -> None:
        """Pause one after the other until cancelled; while the store is away, try again."""
        while True:
            webhook_id = await self._ids.get()
            webhook = self._registry.webhook(webhook_id)
            if webhook is None or webhook.state is not WebhookState.ACTIVE:
                continue
            try:
                await self._registry.change_webhook(
                    webhook_id, {"state": WebhookState.PAUSED, "reason": REASON}, by=ACTOR
                )
                log.warning("webhook_paused", webhook_id=webhook_id, reason=REASON)
            except Problem:
                continue  # deleted meanwhile
            except Unavailable:
                self.add(webhook_id)
                await asyncio.sleep(PAUSE_S)
