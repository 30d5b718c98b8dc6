"""The shapes of the reading half of the API: the one source of its validation and of its OpenAPI schemas.

Invariant: what these models carry was masked before it got into them; none of them looks at a role.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, RootModel, StringConstraints

from gateway.admin.fields import EventName, Id, Input, Output, TenantName
from gateway.admin.paging import TenantPageQuery
from gateway.admin.period import Begin, End
from gateway.model import DeliveryState, ErrorKind

CallId = Annotated[str, StringConstraints(pattern=r"^[0-9]{1,19}$"), Field(description="The call's database ID.")]
Status = Annotated[
    str,
    StringConstraints(pattern=r"^[1-5]([0-9][0-9]|[xX][xX])$"),
    Field(description="One status, or a class of them.", examples=["503", "5xx"]),
]
AccountId = Annotated[str, StringConstraints(pattern=r"^[^\x00-\x1f\x7f]{1,200}$")]
Json = Annotated[Any, Field(description="Any JSON value.")]


class LogQuery(TenantPageQuery):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    begin: Annotated[Begin | None, Field(alias="from")] = None
    end: Annotated[End | None, Field(alias="to")] = None
    event: EventName | None = None
    event_id: Annotated[Id | None, Field(description="Only the attempts of this event.")] = None
    webhook_id: Id | None = None
    outcome: Literal["success", "failure"] | None = None
    status: Status | None = None
    call_id: CallId | None = None
    account_id: AccountId | None = None


class TenantQuery(BaseModel):
    """For one resource whose name is not unique over all tenants."""

    model_config = ConfigDict(extra="forbid")

    tenant: Annotated[str | None, Field(max_length=100, description="Only this tenant's.")] = None


class AttemptOut(Output):
    """One attempt to deliver one event to one webhook."""

    id: Id
    event_id: Id
    event_type: str
    webhook_id: Id
    attempt: Annotated[int, Field(description="1 for the first; counted over all replays.")]
    started_at: datetime
    duration_ms: float
    outcome: Literal["success", "failure"]
    status_code: Annotated[int | None, Field(description="Null where no complete answer came.")]
    error: Annotated[ErrorKind | None, Field(description="Why it failed, as a stable word.")]
    diagnosis: Annotated[str | None, Field(description="Why it failed and what to do, in plain words.")]
    test: Annotated[bool, Field(description="Sent by the test button; no event was delivered.")]


class RequestOut(Output):
    """What was sent, with secrets masked."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    method: str
    url: str
    headers: Mapping[str, str]
    sent: Annotated[
        Json,
        Field(alias="json", description="The body; null where the method has none and the event travels in the URL."),
    ]


class ResponseOut(Output):
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: Annotated[str, Field(description="At most the first 16 KiB, as text.")]
    truncated: bool


class AttemptInFullOut(AttemptOut):
    phases_ms: Annotated[
        Mapping[str, float],
        Field(
            description="Where the time went: `queued` (waiting for a free connection), `dns`, `connect`, `tls`, "
            "`wait` (from the request sent to the first byte of the answer), `read`. Only those that there were; a "
            "failed attempt ended in the last. Empty where they were not kept.",
            examples=[{"dns": 1.2, "connect": 20.5, "tls": 24.1, "wait": 180.3, "read": 0.4}],
        ),
    ]
    request: RequestOut
    response: ResponseOut | None


class TrialOut(AttemptInFullOut):
    resumed: Annotated[bool, Field(description="The gateway had paused the webhook, and this success resumed it.")]


class DeliveryOut(Output):
    """What became of an event at one webhook."""

    webhook_id: Id
    state: DeliveryState
    next_at: Annotated[datetime | None, Field(description="When the next retry is due.")]
    attempts: Annotated[list[AttemptOut], Field(description="Oldest first.")]


class EventOut(Output):
    id: Id
    type: str
    tenant: str
    received_at: datetime
    data: Annotated[Json, Field(description="The payload, exactly as it was pushed.")]
    deliveries: list[DeliveryOut]


class CallOut(Output):
    """The timeline of one call."""

    call_id: str
    events: Annotated[list[EventOut], Field(description="In the order in which they were accepted.")]


class FieldErrorOut(Output):
    pointer: Annotated[str, Field(description="Where in what was pushed: an RFC 6901 JSON pointer.")]
    detail: str


class RejectedOut(Output):
    id: Id
    received_at: datetime
    tenant: Annotated[str | None, Field(description="Null where the push named no tenant that is known.")]
    type: Annotated[str | None, Field(description="As it was sent.")]
    errors: list[FieldErrorOut]
    body: Annotated[str, Field(description="The payload as it was sent, as text.")]


class MendedPayload(RootModel[dict[str, Any]]):
    """The payload as it should have been."""


class ResubmitQuery(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)

    type: Annotated[EventName | None, Field(description="The event that it is, where what was sent is unknown.")] = None
    tenant: Annotated[TenantName | None, Field(description="Whose it is, where the push named no known tenant.")] = None


class AcceptedOut(Output):
    id: Annotated[Id, Field(description="The event's id; targets see it as webhook-id.")]
    duplicate: Annotated[bool, Field(description="True where this push repeats an earlier one.")]


class ReplayEventIn(Input):
    """Deliver one event again."""

    event_id: Id
    webhook_id: Annotated[
        Id | None, Field(description="Only to this webhook; to all that it matched unless given.")
    ] = None


class ReplayRangeIn(Input):
    """Deliver again what a period and a filter say, as the log's do: all that are given must match."""

    webhook_id: Annotated[
        Id | None,
        Field(description="Only to this webhook; unless given, to all of the tenant's to which the events went."),
    ] = None
    begin: Annotated[Begin, Field(alias="from")]
    end: Annotated[End, Field(alias="to")]
    only: Annotated[
        Literal["failed", "all"], Field(description="Those whose schedule is exhausted, or also those delivered.")
    ] = "failed"
    period_of: Annotated[
        Literal["events", "attempts"],
        Field(
            description="What the period bounds: when events were accepted, or when attempts were made, as in /logs."
        ),
    ] = "events"
    event: EventName | None = None
    outcome: Annotated[
        Literal["success", "failure"] | None, Field(description="Those of which an attempt ended so.")
    ] = None
    status: Annotated[Status | None, Field(description="Those of which an attempt was answered with it.")] = None
    call_id: CallId | None = None
    account_id: AccountId | None = None
    tenant: Annotated[TenantName | None, Field(description="Whose, where neither token nor webhook says so.")] = None


class ReplayIn(RootModel[ReplayEventIn | ReplayRangeIn]):
    """One event, or a span."""


class ReplayOut(Output):
    id: Id
    state: Literal["running", "done", "cancelled"]
    total: Annotated[int | None, Field(description="How many deliveries it is about.")]
    done: Annotated[int, Field(description="How many of them have been tried to their end, or were left alone.")]
    skipped: Annotated[int, Field(description="How many were left alone: they were on their way already.")]
    event_id: Id | None
    webhook_id: Id | None
    created_at: datetime


class EventFieldOut(Output):
    name: str
    type: str
    description: str
    required: bool
    personal: Annotated[bool, Field(description="Masked for the viewer role.")]


class EventTypeOut(Output):
    """`schema` is JSON Schema 2020-12 of the payload, `sample` a payload as published."""

    model_config = ConfigDict(validate_by_name=True, serialize_by_alias=True)

    name: str
    title: str
    when: str
    operational: Annotated[bool, Field(description="Tells of webhooks; made by the gateway, never pushed.")]
    fields: list[EventFieldOut]
    json_schema: Annotated[Mapping[str, Any], Field(alias="schema")]
    sample: Json
