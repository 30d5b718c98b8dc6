"""What may change about an access and a webhook, and who is told of changes.

Invariant: a member that is left out stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol, TypedDict

from gateway.model import Access, KeyLocation, Token, Webhook, WebhookState


class Listener(Protocol):
    """Told of each change after it was adopted; must neither block nor raise."""

    def webhook_changed(self, webhook: Webhook) -> None:
        """It is new, or anything about it changed, its access included."""

    def webhook_removed(self, webhook_id: str) -> None: ...


class TokenSink(Protocol):
    """Where the tokens in force go: the token book of the doors."""

    def replace(self, tokens: Iterable[Token]) -> None: ...


class AccessChanges(TypedDict, total=False):
    name: str
    key_name: str
    location: KeyLocation
    client_id: str
    client_secret: str
    api_key: str


class WebhookChanges(TypedDict, total=False):
    """`state` ACTIVE resumes, PAUSED pauses."""

    name: str
    events: frozenset[str]
    method: str
    url: str
    access: Access | None
    state: WebhookState
    timeout_s: float
    max_in_flight: int
    rate_per_s: float | None
    retry_schedule_s: tuple[float, ...] | None
    order_wait_s: float | None
