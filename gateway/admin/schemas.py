"""The shapes of the configuration API: the one source of its validation and of its OpenAPI schemas.

Invariant: what passes here is well-formed text, numbers within their named limits, and known names; what
depends on other resources (does the access fit the webhook?) is the registry's to judge. A model that ends in
`Out` has no member for a secret, so none can slip into an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from gateway.admin.fields import (
    EventName,
    Events,
    Host,
    Id,
    InFlight,
    Input,
    KeyName,
    Life,
    Method,
    Moment,
    Name,
    OrderWait,
    Output,
    Patch,
    Port,
    Quota,
    Rate,
    Schedule,
    Secret,
    State,
    TenantName,
    Timeout,
    Url,
    absent,
)
from gateway.delivery.breaker import BreakerState
from gateway.model import AccessType, KeyLocation, PortState, Role, Webhook, WebhookState

DEFAULTS: Mapping[str, Any] = {name: field.default for name, field in Webhook.__dataclass_fields__.items()}


class AccessIn(Input):
    name: Annotated[Name, Field(description="The API name: the identifier of this access in lists.")]
    type: Literal["basic", "api_key"]
    key_name: KeyName
    client_id: Annotated[Name | None, Field(description="For type basic.")] = None
    client_secret: Annotated[Secret | None, Field(description="For type basic; never shown again.")] = None
    api_key: Annotated[Secret | None, Field(description="For type api_key; never shown again.")] = None
    location: Annotated[Literal["header", "body"], Field(description="Where an API key travels.")] = "header"
    tenant: TenantName | None = None


class AccessPatch(Patch):
    name: Name = absent()
    type: Annotated[Literal["basic", "api_key"], Field(description="Cannot change; may be repeated.")] = absent()
    key_name: KeyName = absent()
    client_id: Name = absent()
    client_secret: Secret = absent()
    api_key: Secret = absent()
    location: Literal["header", "body"] = absent()


class AccessOut(Output):
    id: Id
    name: str
    type: AccessType
    key_name: str
    client_id: Annotated[str | None, Field(description="Null for type api_key.")]
    location: KeyLocation
    tenant: str


class WebhookIn(Input):
    name: Name | None = None
    events: Events
    method: Method = "POST"
    url: Url
    access_id: Annotated[Id | None, Field(description="The access whose credential is sent; null for none.")] = None
    state: State = "active"
    timeout_s: Timeout = DEFAULTS["timeout_s"]
    max_in_flight: InFlight = DEFAULTS["max_in_flight"]
    rate_per_s: Rate | None = None
    retry_schedule: Schedule | None = None
    order_wait_s: OrderWait = DEFAULTS["order_wait_s"]
    tenant: TenantName | None = None


class WebhookPatch(Patch):
    name: Name | None = None
    events: Events = absent()
    method: Method = absent()
    url: Url = absent()
    access_id: Id | None = None
    state: State = absent()
    timeout_s: Timeout = absent()
    max_in_flight: InFlight = absent()
    rate_per_s: Rate | None = None
    retry_schedule: Schedule | None = None
    order_wait_s: OrderWait = None


class BreakerOut(Output):
    """Whether a target is given a rest after failing again and again."""

    state: Annotated[BreakerState, Field(description="`open`: nothing is sent until the next probe.")]
    reason: Annotated[str | None, Field(description="What opened it.")]
    opened_at: datetime | None
    probe_at: Annotated[datetime | None, Field(description="When a single attempt shows whether the target is back.")]


class DeliveringOut(Output):
    in_memory: Annotated[int, Field(description="Deliveries that wait in memory.")]
    in_flight: Annotated[int, Field(description="Attempts under way.")]
    stored_behind: Annotated[bool, Field(description="More waits in the store: retries, or what it is behind with.")]


class WebhookOut(Output):
    id: Id
    name: str | None
    events: list[str]
    method: str
    url: str
    access_id: Id | None
    state: WebhookState
    reason: Annotated[str | None, Field(description="Why it is blocked, or was paused by the gateway itself.")]
    timeout_s: float
    max_in_flight: int
    rate_per_s: float | None
    retry_schedule: Annotated[list[float] | None, Field(description="In seconds; null: the gateway's own.")]
    order_wait_s: Annotated[float | None, Field(description="In seconds; null: no ordering.")]
    tenant: str
    failing_since: Annotated[
        datetime | None, Field(description="When the first attempt failed that no success has followed.")
    ]
    breaker: BreakerOut | None
    delivering: DeliveringOut | None


class SecretOut(Output):
    secret: Annotated[str, Field(description="The Standard Webhooks signing secret.", examples=["whsec_…"])]
    previous_until: Annotated[
        datetime | None, Field(description="Until then the secret before this one signs as well; null: there is none.")
    ]


class SampleIn(Input):
    type: Annotated[EventName, Field(description="The event whose sample is sent.")]


class TokenIn(Input):
    name: Annotated[Name | None, Field(description="Who or what uses it; the role unless given.")] = None
    role: Literal["ingest", "viewer", "operator", "admin"]
    tenant: Annotated[TenantName | None, Field(description="Binds it to one customer; unbound unless given.")] = None
    expires_in: Annotated[Life | None, Field(description="How long it lives; for ever unless given.")] = None
    expires_at: Annotated[Moment | None, Field(description="Instead: when it ends.")] = None


class TokenOut(Output):
    id: Id
    name: str
    role: Role
    tenant: Annotated[str | None, Field(description="Null: not bound to a customer.")]
    prefix: Annotated[str, Field(description="The public part, by which logs and the audit call it.")]
    created_at: datetime
    expires_at: datetime | None


class TokenCreated(TokenOut):
    token: Annotated[str, Field(description="The token itself, shown this once.")]


class PortIn(Input):
    port: Port
    host: Host | None = None
    tenant: Annotated[TenantName | None, Field(description="Only for this customer; for all unless given.")] = None
    state: Literal["open", "denied"] = "open"


class PortPatch(Patch):
    state: Literal["open", "denied"]


class PortOut(Output):
    id: Id
    port: int
    host: Annotated[str | None, Field(description="Null: any host.")]
    tenant: Annotated[str | None, Field(description="Null: every customer.")]
    state: PortState


class TenantIn(Input):
    name: TenantName
    rate_per_s: Quota | None = None


class TenantPatch(Patch):
    rate_per_s: Quota | None = None


class TenantOut(Output):
    id: int
    name: str
    rate_per_s: Quota | None


class AuditOut(Output):
    id: Id
    at: datetime
    actor: Annotated[
        str, Field(description="Name and public prefix of the token, or `gateway` for the program itself.")
    ]
    action: Annotated[str, Field(examples=["webhook.change"])]
    resource: Annotated[str, Field(description="The id of what was changed.")]
    tenant: str | None
    detail: Annotated[
        Mapping[str, Any], Field(description="`{member: [before, after]}` of a change; secrets only as `changed`.")
    ]
