"""What a lane sends with: the form of its requests, its connections and its rate, as the webhook's settings say.

Invariant: connections are kept as long as they would be made alike, and those that are replaced close once the
attempts that they carry have ended on their own.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

import structlog

from gateway.delivery.delivery import Delivery
from gateway.delivery.request import Wire
from gateway.delivery.surroundings import Surroundings
from gateway.delivery.transport import Pool
from gateway.errors import GatewayError
from gateway.model import Webhook, WebhookState
from gateway.rate import RateLimit

log = structlog.get_logger(__name__)


class LaneEquipment:
    """Owned by one lane. `flying` tells what is in flight in it. `wire` is None while the URL may not be called."""

    def __init__(self, surroundings: Surroundings, flying: Callable[[], Collection[Delivery]]) -> None:
        self.wire: Wire | None = None
        self.pool: Pool | None = None
        self.rate: RateLimit | None = None
        self._around = surroundings
        self._flying = flying
        self._connections = 0
        self._retired: set[asyncio.Task[None]] = set()

    def fit(self, webhook: Webhook) -> bool:
        """Make what depends on the settings; returns whether something may be sent."""
        before = self.wire
        try:
            self.wire = Wire(webhook, self._around.parse_target)
        except GatewayError as error:  # the rules became stricter since it was saved
            log.error("webhook_refused", webhook_id=webhook.id, error=str(error))
            self.wire = None
        if self.rate is None or self.rate.per_s != webhook.rate_per_s:
            self.rate = None if webhook.rate_per_s is None else RateLimit(webhook.rate_per_s)
        is_active = webhook.state is WebhookState.ACTIVE and self.wire is not None
        moved = self.wire is None or before is None or before.url != self.wire.url
        if moved or webhook.max_in_flight != self._connections or not is_active:
            self.retire()
        if self.pool is None and is_active:
            self._connections = webhook.max_in_flight
            self.pool = self._around.transport.pool(max_connections=self._connections)
        return is_active

    def retire(self) -> None:
        """Send nothing more over these connections."""
        if self.pool is None:
            return
        pool, self.pool = self.pool, None
        task = asyncio.get_running_loop().create_task(self._close_when_idle(pool, set(self._flying())))
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)

    async def _close_when_idle(self, pool: Pool, theirs: set[Delivery]) -> None:
        while not theirs.isdisjoint(self._flying()):  # noqa: ASYNC110 (rare, and an event would cost each attempt)
            await asyncio.sleep(0.1)
        await pool.close()

    async def aclose(self) -> None:
        """Close the connections; attempts under way end as abandoned."""
        for task in list(self._retired):
            task.cancel()
        if self.pool is not None:
            await self.pool.close()
