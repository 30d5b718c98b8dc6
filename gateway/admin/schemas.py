"""The shapes of the configuration API: the one source of its validation and of its OpenAPI schemas.

Invariant: what passes here is well-formed text, numbers within their named limits, and known names; what
depends on other resources (does the access fit the webhook?) is the registry's to judge. A model that ends in
`Out` has no member for a secret, so none can slip into an answer.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    model_validator,
)

from gateway import catalog
from gateway.egress.target import normal_host
from gateway.errors import EgressRefused
from gateway.model import AccessType, KeyLocation, PortState, Role, Webhook, WebhookState
from gateway.settings import RETRIES_LIMIT, RETRY_WAIT_LIMIT_S, parse_duration_s
from gateway.webhook_rules import CONTROL

NAME_LIMIT_CHARS = 200
SECRET_LIMIT_CHARS = 4096
URL_LIMIT_CHARS = 2048
TIMEOUT_MIN_S, TIMEOUT_MAX_S = 0.1, 60.0
IN_FLIGHT_LIMIT = 1024
RATE_LIMIT_PER_S = 100_000.0
ORDER_WAIT_LIMIT_S = 30 * 86_400.0
TOKEN_LIFE_LIMIT_S = 100 * 366 * 86_400.0

Type = TypeVar("Type")


def printable(text: str) -> str:
    """Refuses what breaks lines, headers and terminals, and NUL, which PostgreSQL cannot store in a text."""
    if CONTROL.search(text):
        raise ValueError("control characters and line breaks are not allowed here")
    return text


def _event(name: str) -> str:
    known = catalog.resolve(name)
    if known is None:
        names = ", ".join(f"{each.name} ({each.title})" for each in catalog.EVENT_TYPES)
        raise ValueError(f"there is no such event; known are: {names}")
    return known


def _upper(value: object) -> object:
    return value.upper() if isinstance(value, str) else value


def lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _seconds(value: object) -> object:
    """A duration as text (`5m`, `90d`) in seconds; a number stays what it is."""
    if not isinstance(value, str):
        return value
    try:
        return parse_duration_s(value)
    except ValueError:
        raise ValueError("give seconds as a number, or a duration such as 30s, 5m, 2h or 90d") from None


def _text(value: object) -> object:
    """Refuses a number where a time is expected: pydantic would take it for Unix seconds, or milliseconds."""
    if not isinstance(value, str):
        raise ValueError("give a time as RFC 3339 has it, such as 2030-01-31T12:00:00Z")
    return value


def _parts(value: object) -> object:
    """`5s,5m,30m` as a list of its parts; a list stays what it is."""
    return [part.strip() for part in value.split(",") if part.strip()] if isinstance(value, str) else value


def _not_blocked(value: object) -> object:
    if value == WebhookState.BLOCKED:
        raise ValueError("“blocked” is the gateway's own to say; set “active” or “paused”")
    return value


def _host(text: str) -> str:
    """As a target's host is spelled once its URL has been taken apart, so that the two compare equal."""
    try:
        return normal_host(text)
    except EgressRefused as refused:
        raise ValueError(refused.detail) from None


def absent() -> Any:
    """The default of a PATCH member that may be left out but may not be null."""
    return Field(default_factory=lambda: None)


Name = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=NAME_LIMIT_CHARS),
    AfterValidator(printable),
]
TenantName = Annotated[
    str,
    StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9._-]{0,99}$"),
    Field(description="The customer that it belongs to; `default` where there is only one."),
]
Secret = Annotated[
    str,
    StringConstraints(min_length=1, max_length=SECRET_LIMIT_CHARS),
    AfterValidator(printable),
    Field(json_schema_extra={"writeOnly": True}),
]
KeyName = Annotated[
    str,
    StringConstraints(min_length=1, max_length=NAME_LIMIT_CHARS),
    AfterValidator(printable),
    Field(description="The header, or the top-level JSON member, that carries the credential.", examples=["x-api-key"]),
]
Url = Annotated[
    str,
    StringConstraints(min_length=1, max_length=URL_LIMIT_CHARS),
    AfterValidator(printable),
    Field(description="Where the events go: http or https.", examples=["https://crm.example.com/hooks/calls"]),
]
Id = Annotated[
    str,
    BeforeValidator(lower),
    StringConstraints(pattern=r"^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"),
    Field(json_schema_extra={"format": "uuid"}),
]
EventName = Annotated[
    str,
    StringConstraints(max_length=NAME_LIMIT_CHARS),
    AfterValidator(_event),
    Field(description="By name or by title: `call.created` or `Call Created`.", examples=["call.created"]),
]
Events = Annotated[list[EventName], Field(min_length=1, max_length=100)]
Method = Annotated[Literal["GET", "POST", "PUT", "PATCH", "DELETE"], BeforeValidator(_upper)]
State = Annotated[Literal["active", "paused"], BeforeValidator(_not_blocked)]
Timeout = Annotated[float, Field(ge=TIMEOUT_MIN_S, le=TIMEOUT_MAX_S, description="Seconds for one attempt, in all.")]
InFlight = Annotated[int, Field(ge=1, le=IN_FLIGHT_LIMIT, description="The most attempts at a time.")]
Rate = Annotated[float, Field(gt=0, le=RATE_LIMIT_PER_S, description="The most attempts a second; null: no limit.")]
Wait = Annotated[
    float, BeforeValidator(_seconds, json_schema_input_type=float | str), Field(gt=0, le=RETRY_WAIT_LIMIT_S)
]
Schedule = Annotated[
    list[Wait],
    BeforeValidator(_parts, json_schema_input_type=list[float | str] | str),
    Field(
        max_length=RETRIES_LIMIT,
        description="Waits before each retry, in seconds or as text; null: the gateway's own; empty: no retry.",
        examples=[["5s", "5m", "2h"]],
    ),
]
OrderWait = Annotated[
    float,
    BeforeValidator(_seconds, json_schema_input_type=float | str),
    Field(
        ge=0,
        le=ORDER_WAIT_LIMIT_S,
        description="Seconds that later events of a call wait for a failing earlier one; null: no ordering.",
    ),
]
Life = Annotated[
    float,
    BeforeValidator(_seconds, json_schema_input_type=float | str),
    Field(gt=0, le=TOKEN_LIFE_LIMIT_S, description="Seconds, or a duration such as 90d.", examples=["90d"]),
]
Moment = Annotated[AwareDatetime, BeforeValidator(_text), Field(strict=False, examples=["2030-01-31T12:00:00Z"])]
Port = Annotated[int, Field(ge=1, le=65_535)]
Host = Annotated[
    str,
    StringConstraints(min_length=1, max_length=NAME_LIMIT_CHARS),
    AfterValidator(_host),
    Field(description="Only this target host; any host unless given.", examples=["crm.example.com"]),
]

_Defaults: Mapping[str, Any] = {name: field.default for name, field in Webhook.__dataclass_fields__.items()}


class Input(BaseModel):
    """A request body: JSON's own types, no unknown members, and its values never quoted in an error."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, hide_input_in_errors=True)


class Patch(Input):
    """A change: what is left out stays as it is, so at least one member is given."""

    @model_validator(mode="before")
    @classmethod
    def _not_empty(cls, data: object) -> object:
        if data == {}:
            raise ValueError("name at least one member to change")
        return data

    def given(self) -> dict[str, Any]:
        """The members that were given, and they alone."""
        return {name: getattr(self, name) for name in self.model_fields_set}


class Output(BaseModel):
    """An answer, or an item of a list."""


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
    timeout_s: Timeout = _Defaults["timeout_s"]
    max_in_flight: InFlight = _Defaults["max_in_flight"]
    rate_per_s: Rate | None = None
    retry_schedule: Schedule | None = None
    order_wait_s: OrderWait | None = _Defaults["order_wait_s"]
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
    order_wait_s: OrderWait | None = None


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


class TenantOut(Output):
    id: int
    name: str


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
