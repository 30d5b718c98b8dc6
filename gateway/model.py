"""What flows through the gateway: events, webhooks, deliveries, attempts, outcomes.

Everything here is frozen, and knows no clock, no network and no database. Ids are UUIDv7 in their
canonical text form, so that comparing two of them as strings compares their times. What exists once
per event or attempt is a `msgspec.Struct` (made in 0.2 µs, a frozen dataclass of that size in 2 µs).
"""

from __future__ import annotations

import enum
import zlib
from dataclasses import dataclass, field
from datetime import datetime

import msgspec

DEFAULT_TENANT = "default"
SHARDS = 64


class Role(enum.StrEnum):
    """What a token may do; `ingest` pushes events and nothing else, the others include each other upwards."""

    INGEST = "ingest"
    VIEWER = "viewer"
    OPERATOR = "operator"
    ADMIN = "admin"


class AccessType(enum.StrEnum):
    BASIC = "basic"
    API_KEY = "api_key"


class KeyLocation(enum.StrEnum):
    HEADER = "header"
    BODY = "body"


class WebhookState(enum.StrEnum):
    """`active` delivers; `paused` and `blocked` hold their events until they are active again."""

    ACTIVE = "active"
    PAUSED = "paused"
    BLOCKED = "blocked"


class DeliveryState(enum.StrEnum):
    """The states of an unsettled delivery as stored, and `delivered` and `held` as shown.

    `queued` waits for its first attempt, `retrying` for its next, `failed` has used up its schedule.
    A delivery whose webhook is not active is shown as `held`; that is derived, never stored.
    """

    QUEUED = "queued"
    RETRYING = "retrying"
    FAILED = "failed"
    HELD = "held"
    DELIVERED = "delivered"


class ErrorKind(enum.StrEnum):
    """Why an attempt failed, as far as the gateway can tell. Stable: stored, filtered on, explained."""

    DNS = "dns"
    EGRESS = "egress_refused"
    PORT = "port_not_open"
    CONNECT_REFUSED = "connect_refused"
    CONNECT_TIMEOUT = "connect_timeout"
    CONNECT_FAILED = "connect_failed"
    TLS_EXPIRED = "tls_expired"
    TLS_NAME = "tls_wrong_name"
    TLS_UNTRUSTED = "tls_untrusted"
    TLS_TIMEOUT = "tls_timeout"
    TLS_FAILED = "tls_failed"
    TIMEOUT = "timeout"
    """The deadline passed after the request had been sent."""
    DISCONNECTED = "disconnected"
    """The target closed or reset the connection before its answer was complete."""
    PROTOCOL = "bad_response"
    """What came back is not HTTP/1.1, or breaks a limit (headers, wire bytes)."""
    STATUS = "http_status"
    """A complete answer whose status is not 2xx."""
    REQUEST = "bad_request"
    """The gateway could not build the request (e.g. the body has a member named like the body key)."""
    ABANDONED = "abandoned"
    """The gateway stopped before the attempt ended."""


@dataclass(frozen=True, slots=True)
class Tenant:
    """`rate_per_s` is how many events a second it may push; None: as many as the setting lets every tenant."""

    id: int
    name: str
    rate_per_s: float | None = None


class Event(msgspec.Struct, frozen=True):
    """One accepted event. `payload` is the bytes of `data` exactly as the switch spelled them.

    `call_key` orders: events of one tenant with the same one are delivered in the order of their ids.
    """

    id: str
    tenant_id: int
    type: str
    call_key: str | None
    account_id: str | None
    payload: bytes
    webhook_ids: tuple[str, ...]
    occurred_at: datetime | None = None


def shard_of(event: Event) -> int:
    """The shard that keeps a call together: of tenant and call, or of the event alone where there is no call."""
    key = event.id if event.call_key is None else f"{event.tenant_id}:{event.call_key}"
    return zlib.crc32(key.encode()) % SHARDS


@dataclass(frozen=True, slots=True)
class Access:
    """A credential that webhooks use. The secret parts are plain text here and encrypted at rest."""

    id: str
    tenant_id: int
    name: str
    type: AccessType
    key_name: str
    location: KeyLocation = KeyLocation.HEADER
    client_id: str = field(default="", repr=False)
    client_secret: str = field(default="", repr=False)
    api_key: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Webhook:
    """One subscription: which events go where, how, and within which limits.

    `retry_schedule_s` None means the gateway's own schedule; `order_wait_s` None turns order off.
    `signing_secrets` are the raw keys in force, newest first (two during a rotation's overlap).
    """

    id: str
    tenant_id: int
    name: str
    events: frozenset[str]
    method: str
    url: str
    access: Access | None
    state: WebhookState
    reason: str | None
    signing_secrets: tuple[bytes, ...] = field(repr=False)
    timeout_s: float = 10.0
    max_in_flight: int = 32
    rate_per_s: float | None = None
    retry_schedule_s: tuple[float, ...] | None = None
    order_wait_s: float | None = 3600.0


class Response(msgspec.Struct, frozen=True):
    """What a target answered. `body` is at most the first 16 KiB, undecoded; header names are lower case."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes
    truncated: bool


PHASES = ("queued", "dns", "connect", "tls", "wait", "read")
"""What an attempt spends its time on: waiting for a free connection, looking the name up, connecting, securing the
connection, from the request sent to the first byte of the answer, and reading the answer."""


class Outcome(msgspec.Struct, frozen=True):
    """How one attempt ended. Exactly one of these holds: `response` came, or `error` says why not.

    `detail` is the plain technical cause (never a secret). `phases_ms` are those of `PHASES` that it went through,
    in their order; of a failed attempt, the last is the one in which it ended.
    """

    duration_us: int
    response: Response | None = None
    error: ErrorKind | None = None
    detail: str | None = None
    phases_ms: tuple[tuple[str, float], ...] = ()

    @property
    def ok(self) -> bool:
        return self.response is not None and 200 <= self.response.status < 300


@dataclass(frozen=True, slots=True)
class Token:
    """An API token as the gateway knows it: never the secret itself. `tenant_id` None is unbound."""

    id: str
    name: str
    role: Role
    tenant_id: int | None
    prefix: str
    digest: bytes = field(repr=False)
    created_at: datetime
    expires_at: datetime | None


class PortState(enum.StrEnum):
    ASKED = "asked"
    OPEN = "open"
    DENIED = "denied"


@dataclass(frozen=True, slots=True)
class PortRule:
    """An operator's decision on a target port. `host` and `tenant_id` None mean any."""

    id: str
    port: int
    host: str | None
    tenant_id: int | None
    state: PortState
