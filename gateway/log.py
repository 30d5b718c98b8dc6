"""The log's interface: append, own, read above the watermark, commit the watermark.

Accepted events and delivery attempts are an insert-only log that is also the queue; `deliveries` holds only
what is unsettled. `store/` implements this on PostgreSQL; nothing outside `store/` knows SQL.
Every write is fenced: one by a process that no longer owns the shards raises `Fenced` and changes nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Protocol
from uuid import UUID

import msgspec

from gateway.errors import GatewayError, Unavailable
from gateway.model import DeliveryState, Event


class OutcomeUnknown(Unavailable):
    """The store went away during a write: it may or may not have been committed. Write again with the same ids."""


class BadRow(GatewayError):
    """The store refuses the content of at least one row of a batch; nothing of the batch was written."""


class NewEvent(msgspec.Struct, frozen=True):
    """An event to append; `key` makes it idempotent within its tenant, `digest` tells the bytes apart."""

    event: Event
    shard: int
    key: str | None = None
    digest: bytes | None = None


class Duplicate(msgspec.Struct, frozen=True):
    """The key was used before: by `event_id`, with the `same` type and bytes or with others."""

    event_id: str
    same: bool


class AttemptRecord(msgspec.Struct, frozen=True):
    """One attempt as logged. Secrets are masked before they get here. `id` is a UUIDv7 of its start."""

    id: str
    event_id: str
    webhook_id: str
    tenant_id: int
    event_type: str
    number: int
    test: bool
    ok: bool
    status: int | None
    error: str | None
    detail: str | None
    duration_us: int
    method: str
    url: str
    request_headers: bytes
    body_key: str | None
    response_headers: bytes | None
    response_body: bytes | None
    truncated: bool
    phases_ms: tuple[tuple[str, float], ...] = ()


class DeliveryRow(msgspec.Struct, frozen=True):
    """An unsettled delivery as stored. `wait_until` ends its waiting for earlier events of its call."""

    webhook_id: str
    event_id: str
    shard: int
    call_key: str | None
    state: DeliveryState
    attempts: int
    tries: int
    next_at: datetime
    wait_until: datetime | None
    replay_id: str | None = None


class Unsettled(msgspec.Struct, frozen=True):
    """An event above the watermark, and those of its webhooks that have neither a success nor a row."""

    event: Event
    webhook_ids: tuple[str, ...]


Place = tuple[datetime, str]
"""Where a row stands among those of its webhook and state: when it is due, and its event's id."""

BEGINNING: Place = (datetime(1, 1, 1, tzinfo=UTC), str(UUID(int=0)))
"""Before every row."""


class Page(msgspec.Struct, frozen=True):
    """To be read: at most so many due rows of one webhook in one state, in their order, that stand after a place."""

    webhook_id: str
    state: DeliveryState
    after: Place
    rows: int


class Due(msgspec.Struct, frozen=True):
    """A stored delivery whose time has come, and the unsettled ones before it of its call, the first `EARLIER_MOST`."""

    row: DeliveryRow
    earlier: tuple[str, ...]


EARLIER_MOST = 4


class EventLog(Protocol):
    """Thread safety: none; each method may be called concurrently from one event loop unless it says otherwise."""

    async def append(self, batch: Sequence[NewEvent]) -> list[Duplicate | None]:
        """Commit a batch in one transaction; what comes back stands at the place of its event, None for a new one.

        Idempotent by event id. Raises `BadRow`, `OutcomeUnknown`, `Unavailable` or `Fenced`. Not concurrent.
        """

    async def existing(self, event_ids: Sequence[str]) -> set[str]:
        """Which of these events are committed; no append begun before this call can add one after it returned."""

    async def record(
        self,
        attempts: Sequence[AttemptRecord],
        *,
        changed: Sequence[DeliveryRow] = (),
        removed: Sequence[tuple[str, str]] = (),
    ) -> None:
        """Commit attempts and what they did to deliveries, (webhook id, event id) each, in one transaction.

        Idempotent by attempt id. Raises as `append` does. Not concurrent.
        """

    async def read_unsettled(self, after_id: str, limit: int) -> list[Unsettled]:
        """The unsettled events above an id, oldest first; fewer than `limit` read means that the end is reached.

        Raises `Fenced` rather than tell of what another process delivers now; so does `load_due`.
        """

    async def load_due(
        self, pages: Sequence[Page], calls: Sequence[tuple[str, str]], now: datetime
    ) -> tuple[list[list[Due]], list[Due]]:
        """What is due of each page; and of each call, (webhook id, call key), what is due of its first
        `EARLIER_MOST` rows. Whether it may go before those that are earlier is for the lane to judge.
        """

    async def read_events(self, event_ids: Sequence[str]) -> dict[str, Event]:
        """Events by their ids; one that is not there any more is left out."""

    async def remaining(self, webhook_id: str, limit: int) -> list[tuple[str, str | None]]:
        """Event id and call key of a webhook's stored deliveries that are not failed, at most `limit`."""

    async def with_backlog(self, webhook_ids: Sequence[str]) -> set[str]:
        """Which of these webhooks have stored deliveries that are not failed."""
