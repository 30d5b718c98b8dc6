"""One event on its way to one webhook, as the lane holds it in memory."""

from __future__ import annotations

from datetime import datetime
from typing import Self

from gateway.delivery.watermark import Mark
from gateway.log import DeliveryRow
from gateway.model import DeliveryState, Event, shard_of

OVERHEAD_BYTES = 600
"""What a delivery takes in memory besides its payload."""


class Delivery:
    """Mutable; owned by its lane. `mark` is what recovery would find it by while it has no row in the store.

    `attempts` counts all made so far, `tries` those since it was queued or replayed. `stored` says that it
    has a row, or that one is on its way.
    """

    __slots__ = (
        "accepted_at",
        "attempts",
        "call_key",
        "event",
        "mark",
        "overtakes",
        "replay_id",
        "started_at",
        "stored",
        "tries",
        "wait_until",
    )

    def __init__(self, event: Event, *, call_key: str | None, mark: Mark | None, accepted_at: float | None) -> None:
        self.event = event
        self.call_key = call_key
        self.mark = mark
        self.accepted_at = accepted_at
        self.attempts = 0
        self.tries = 0
        self.stored = False
        self.overtakes: str | None = None
        self.replay_id: str | None = None
        self.wait_until: datetime | None = None
        self.started_at = 0.0

    @classmethod
    def stored_as(cls, row: DeliveryRow, event: Event) -> Self:
        """One that is taken back from the store."""
        delivery = cls(event, call_key=row.call_key, mark=None, accepted_at=None)
        delivery.attempts = row.attempts
        delivery.tries = row.tries
        delivery.wait_until = row.wait_until
        delivery.replay_id = row.replay_id
        return delivery

    @property
    def bytes(self) -> int:
        return len(self.event.payload) + OVERHEAD_BYTES

    def row(self, webhook_id: str, state: DeliveryState, next_at: datetime) -> DeliveryRow:
        return DeliveryRow(
            webhook_id=webhook_id,
            event_id=self.event.id,
            shard=shard_of(self.event),
            call_key=self.call_key,
            state=state,
            attempts=self.attempts,
            tries=self.tries,
            next_at=next_at,
            wait_until=self.wait_until,
            replay_id=self.replay_id,
        )
