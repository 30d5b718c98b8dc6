"""Pauses the webhooks that nothing gets through to: failing for days, or gone (410). Their events are held.

Invariant: what is paused here says why and how to go on, and a webhook that fails is told of before it is paused.
Since when one fails outlives a restart: it is saved once that has lasted some minutes, and cleared by a success.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Protocol

import structlog

from gateway.delivery.streak import Streak
from gateway.errors import Unavailable
from gateway.model import Webhook, WebhookState
from gateway.registry.registry import Registry

CHECK_EVERY_S = 1.0
TOLD_AFTER = timedelta(days=2)
"""A streak that is older at a start has been told of: past its hour, and the key of that event is kept for 3 days."""
RESUME = "its events are held until a test succeeds, or it is resumed (`gateway webhook resume`, or PATCH state active)"
GONE = f"the target answered 410 Gone: it wants no more events; {RESUME}"

Tell = Callable[[Webhook, Streak], None]
"""Tells those who want to know that a webhook has been failing for long."""

log = structlog.get_logger(__name__)


class Streaks(Protocol):
    """What is asked of the engine."""

    def streaks(self) -> Iterable[tuple[str, Streak]]: ...

    def restore_streaks(self, streaks: Mapping[str, Streak]) -> None: ...


class StreakStore(Protocol):
    """Where it is kept since when webhooks fail. Both raise `Unavailable`."""

    async def failing_since(self) -> Mapping[str, datetime]: ...

    async def save_failing_since(self, webhook_id: str, since: datetime | None) -> None: ...


class Health:
    """Owns what is saved of streaks, and the webhooks that are gone and not paused yet."""

    def __init__(self, registry: Registry, store: StreakStore, *, pause_after_s: float) -> None:
        self._registry = registry
        self._store = store
        self._pause_after = timedelta(seconds=pause_after_s)
        self._gone: dict[str, str] = {}
        self._nudged = asyncio.Event()
        self._saved: set[str] = set()

    def gone(self, webhook_id: str, url: str) -> None:
        """Its target answered 410. It is paused at once: until then the same event would be sent there again."""
        self._gone[webhook_id] = url
        self._nudged.set()

    async def restore(self, lanes: Streaks) -> None:
        """Go on where an earlier process was; before anything is attempted."""
        known = await self._store.failing_since()
        streaks = {webhook_id: Streak(since, saved=True) for webhook_id, since in known.items()}
        for streak in streaks.values():
            streak.told = datetime.now(UTC) - streak.since > TOLD_AFTER
        lanes.restore_streaks(streaks)
        self._saved = set(known)

    async def run(self, lanes: Streaks, tell: Tell) -> None:
        """Look after the failing ones once a second, until cancelled; while the store is away, again and again."""
        while True:
            try:
                async with asyncio.timeout(CHECK_EVERY_S):
                    await self._nudged.wait()
            except TimeoutError:
                pass
            self._nudged.clear()
            try:
                await self.look(lanes, tell)
            except Unavailable as error:
                log.warning("health_waits", detail=str(error))
                await asyncio.sleep(CHECK_EVERY_S)

    async def look(self, lanes: Streaks, tell: Tell) -> None:
        """One round. Raises `Unavailable`; what is not done then is due in the next round."""
        for webhook_id, url in tuple(self._gone.items()):
            await self._pause(webhook_id, url, GONE)
            if self._gone[webhook_id] == url:
                del self._gone[webhook_id]
        failing = dict(lanes.streaks())
        for webhook_id in self._saved - failing.keys():
            await self._store.save_failing_since(webhook_id, None)
            self._saved.discard(webhook_id)
        for webhook_id, streak in failing.items():
            await self._look_after(webhook_id, streak, tell)

    async def _look_after(self, webhook_id: str, streak: Streak, tell: Tell) -> None:
        webhook = self._registry.webhook(webhook_id)
        if webhook is None or webhook.state is not WebhookState.ACTIVE:
            return
        if streak.is_to_be_told:
            streak.told = True
            tell(webhook, streak)
        if streak.is_to_be_saved:
            await self._store.save_failing_since(webhook_id, streak.since)
            self._saved.add(webhook_id)
            streak.saved = True
        if streak.is_too_long(self._pause_after):
            await self._pause(webhook_id, webhook.url, too_long_reason(streak))

    async def _pause(self, webhook_id: str, url: str, reason: str) -> None:
        if await self._registry.pause_webhook(webhook_id, url=url, reason=reason):
            log.warning("webhook_paused", webhook_id=webhook_id, reason=reason)


def too_long_reason(streak: Streak) -> str:
    since = f"{streak.since.astimezone(UTC):%Y-%m-%d %H:%M} UTC"
    return f"no attempt has succeeded since {since}; the last one failed with {streak.last}; {RESUME}"
