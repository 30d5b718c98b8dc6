"""Operational events: what happens to webhooks, told to the webhooks of the same tenant that want to know.

They are accepted through the intake like an event of the switch, so they are committed, signed, retried and logged like
one. Invariant: a webhook is never told about itself, so telling cannot feed on its own failures.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterable
from datetime import UTC, datetime

import msgspec
import structlog

from gateway.delivery.masking import mask_url
from gateway.delivery.streak import Streak
from gateway.errors import Problem, Unavailable
from gateway.ingress.intake import Intake
from gateway.model import Webhook, WebhookState

WAITING_LIMIT = 1_000
"""The most that wait while the database is away; of more the oldest are not told."""
PAUSE_S = 1.0

log = structlog.get_logger(__name__)


class Notice(msgspec.Struct, frozen=True):
    """One operational event before it is accepted; `key` makes telling it again the same event."""

    type: str
    tenant_id: int
    webhook_id: str
    payload: bytes
    key: str | None = None


class Announcer:
    """Implements the registry's `Listener`; owns what is not accepted yet. `failing_since` answers for a webhook."""

    def __init__(
        self, intake: Intake, *, webhooks: Iterable[Webhook], failing_since: Callable[[str], datetime | None]
    ) -> None:
        self._intake = intake
        self._failing_since = failing_since
        self._states = {webhook.id: webhook.state for webhook in webhooks}
        self._waiting: deque[Notice] = deque(maxlen=WAITING_LIMIT)
        self._arrived = asyncio.Event()

    def webhook_changed(self, webhook: Webhook) -> None:
        before = self._states.get(webhook.id)
        self._states[webhook.id] = webhook.state
        if before is None or before is webhook.state:
            return
        if webhook.state is WebhookState.PAUSED:
            self._tell("webhook.paused", webhook, webhook.reason, self._failing_since(webhook.id))
        elif before is WebhookState.PAUSED and webhook.state is WebhookState.ACTIVE:
            self._tell("webhook.resumed", webhook, None, None)

    def webhook_removed(self, webhook_id: str) -> None:
        self._states.pop(webhook_id, None)

    def failing(self, webhook: Webhook, streak: Streak) -> None:
        """It has been failing for an hour."""
        key = f"gateway:webhook.failing:{webhook.id}:{streak.since.isoformat()}"
        self._tell("webhook.failing", webhook, streak.last, streak.since, key)

    async def run(self) -> None:
        """Have one after the other accepted, until cancelled; while the store is away, wait."""
        while True:
            await self._arrived.wait()
            self._arrived.clear()
            while self._waiting:
                notice = self._waiting[0]
                try:
                    await self._intake.submit(
                        tenant_id=notice.tenant_id,
                        type=notice.type,
                        call_key=None,
                        account_id=None,
                        payload=notice.payload,
                        key=notice.key,
                        digest=None if notice.key is None else notice.key.encode(),
                        about=notice.webhook_id,
                    )
                except Unavailable:
                    await asyncio.sleep(PAUSE_S)
                    continue
                except Problem as error:
                    log.error("notice_refused", type=notice.type, error=str(error))
                if self._waiting and self._waiting[0] is notice:  # else it was pushed out meanwhile
                    self._waiting.popleft()

    def _tell(
        self, type: str, webhook: Webhook, reason: str | None, since: datetime | None, key: str | None = None
    ) -> None:
        payload = {
            "webhook_id": webhook.id,
            "name": webhook.name or None,
            "url": mask_url(webhook.url),
            "state": webhook.state,
            "reason": reason,
            "since": None if since is None else _spelled(since),
            "at": _spelled(datetime.now(UTC)),
        }
        self._waiting.append(Notice(type, webhook.tenant_id, webhook.id, msgspec.json.encode(payload), key))
        self._arrived.set()


def _spelled(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
