"""The kinds of members that the API's shapes are made of: each says what is well-formed, and describes itself.

Invariant: a text that passes has no control character and a named length, and a number is within its named limits;
no error quotes the value.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal

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
from gateway.model import WebhookState
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
ID_PATTERN = "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"


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


def _seconds(value: object) -> object:
    """A duration as text (`5m`, `90d`) in seconds; a number stays what it is."""
    if not isinstance(value, str):
        return value
    try:
        return parse_duration_s(value)
    except ValueError:
        raise ValueError("give seconds as a number, or a duration such as 30s, 5m, 2h or 90d") from None


def _order_wait(value: object) -> object:
    """A duration, or `none`."""
    if value == "none":
        return None
    try:
        return _seconds(value)
    except ValueError as error:
        raise ValueError(f"{error}; none or null for no ordering") from None


def _id(value: object) -> object:
    """In small letters; what is no id at all is refused in words, and not by showing the pattern."""
    if not isinstance(value, str):
        return value
    if not re.fullmatch(ID_PATTERN, value, re.IGNORECASE):
        raise ValueError("this is no id; ids look like 0192a6f4-3c1e-7b52-9d08-5f6e2a1b4c3d")
    return value.lower()


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
    BeforeValidator(_id),
    StringConstraints(pattern=f"^{ID_PATTERN}$"),
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
Quota = Annotated[
    float,
    Field(
        gt=0,
        le=RATE_LIMIT_PER_S,
        description="The most events a second that it may push; null: the setting GATEWAY_TENANT_RATE_PER_S.",
    ),
]
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
    Annotated[float, Field(ge=0, le=ORDER_WAIT_LIMIT_S)] | None,
    BeforeValidator(_order_wait, json_schema_input_type=float | str | None),
    Field(
        description="Seconds that later events of a call wait for a failing earlier one; null or `none`: no ordering.",
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
