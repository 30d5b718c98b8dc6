"""The event types: their names, what every field means, their schemas and samples.

Invariant: a field is described once, here; its JSON Schema, its check and its masking follow from that description.
A member that may be missing may also be null, and one that is not listed is allowed: switches grow fields.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Annotated, Any

import msgspec

MAX_CALL_ID = 2**63 - 1

CallId = Annotated[int, msgspec.Meta(ge=0, le=MAX_CALL_ID)]


@dataclass(frozen=True, slots=True)
class Field:
    """One member of a payload. `personal` members are masked for those who may not see phone numbers."""

    name: str
    type: Any
    description: str
    required: bool = False
    personal: bool = False


@dataclass(frozen=True, slots=True)
class EventType:
    """One kind of event. `sample` is the payload as published, byte for byte; `schema` is JSON Schema 2020-12.

    An `operational` one tells of the gateway's own webhooks: it is made here, and cannot be pushed.
    """

    name: str
    title: str
    when: str
    sample: bytes
    fields: tuple[Field, ...]
    schema: Mapping[str, Any]
    operational: bool = False


_CALL_FIELDS = (
    Field("call_id", CallId, "Database ID of the call; the same in Created, Ended and Saved of one.", required=True),
    Field("call_date", str, "Timestamp of the call, as `YYYY-MM-DD hh:mm:ss`. It carries no zone."),
    Field("lead_id", int, "Database ID of the lead."),
    Field("call_result", int, "Code of the call's result; -1 until there is one."),
    Field("agent_disp", int, "Code of the disposition that the agent chose on the wrap form; -1 until one is saved."),
    Field("agent_id", int, "Database ID of the agent on the call; 0 while there is none."),
    Field("call_type", str, "Direction of the call, e.g. `Outbound`."),
    Field("revenue", int | float, "Revenue booked on the call; 0 if none."),
    Field("dnis", str, "Number dialled to reach the contact center (DNIS); empty on outbound calls.", personal=True),
    Field("phone", str, "Phone number of the other party, as bare digits.", personal=True),
    Field("camp_id", int, "Database ID of the campaign."),
    Field("pool_id", int, "Database ID of the pool of leads or agents that the call belongs to."),
    Field("account_id", str, "Identifier of the account, as text: leading zeros count."),
    Field("call_duration", int | float, "Length of the call in seconds. May still be 0 in Ended; final in Saved."),
    Field("talk_time", int | float, "Seconds that agent and other party talked."),
    Field("hold_time", int | float, "Seconds that the other party was on hold."),
    Field("queue_time", int | float, "Seconds that the call waited in the queue for an agent."),
    Field("ivr_time", int | float, "Seconds that the call spent in the voice menu (IVR)."),
    Field("position", int, "Place in the queue; 0 if the call is not queued."),
    Field("is_abandoned", bool, "Whether the other party hung up before an agent answered."),
    Field("api_sent", bool, "Whether the switch has already reported this call over its own API."),
    Field("call_final_event", str, "How the call left its queue, e.g. `COMPLETEAGENT`; null while it is running."),
    Field("idle_time", int | float, "Seconds that the agent was idle before the call."),
    Field("wrap_time", int | float, "Seconds that the agent spent on the wrap form; final in Saved."),
    Field("preview_time", int | float, "Seconds that the agent previewed the lead before dialling."),
    Field("callback_time", str, "When the other party asked to be called back; null if not. It carries no zone."),
    Field("callback_call_id", int, "Database ID of the call that this one calls back; 0 if none."),
    Field("caller_id", str, "Caller ID that the other party was shown, or sent, as bare digits.", personal=True),
    Field("onhold_queue", bool, "Whether the call is parked in the on-hold queue."),
    Field("internal", bool, "Whether the call stayed inside the contact center, between agents."),
    Field("billable_seconds", int | float, "Seconds that are billed. May still be 0 in Ended; final in Saved."),
)

_DECLINED_FIELDS = (
    Field("camp_name", str, "Name of the campaign that was about to contact the lead."),
    Field("lead_phone", str, "Phone number of the lead, as bare digits.", required=True, personal=True),
    Field("lead_email", str, "E-mail address of the lead; null if there is none.", personal=True),
    Field("account_id", str, "Identifier of the account, as text: leading zeros count."),
    Field("client_id", str, "Identifier of the client on whose behalf the lead is contacted, as text."),
    Field("reason", str, "Why Regulation F makes the lead ineligible, e.g. `RF: communication_limits`.", required=True),
    Field("pool_id", int, "Database ID of the pool of leads; null if there is none."),
    Field("pool_name", str, "Name of the pool of leads; null if there is none."),
    Field("retry_at", str, "When the lead may be contacted again, as `YYYY-MM-DD hh:mm:ss`. It carries no zone."),
)

_WEBHOOK_FIELDS = (
    Field("webhook_id", str, "Id of the webhook that this is about; it never gets its own.", required=True),
    Field("name", str, "Name of the webhook; null if it has none."),
    Field("url", str, "Target URL of the webhook, with what looks like a credential masked.", required=True),
    Field("state", str, "State of the webhook: `active` or `paused`.", required=True),
    Field("reason", str, "Why: what failed, or what paused it; null where a person did."),
    Field("since", str, "Since when no attempt has succeeded, in UTC as RFC 3339; null if that is not why."),
    Field("at", str, "When it happened, in UTC as RFC 3339.", required=True),
)

JSON_TYPES: Mapping[Any, str] = {
    CallId: "integer", int: "integer", int | float: "number", str: "string", bool: "boolean",
}  # fmt: skip


def _schema(title: str, when: str, fields: tuple[Field, ...]) -> Mapping[str, Any]:
    properties: dict[str, Any] = {}
    for field in fields:
        json_type = JSON_TYPES[field.type]
        property_: dict[str, Any] = {
            "type": json_type if field.required else [json_type, "null"],
            "description": field.description,
        }
        if field.type is CallId:
            property_ |= {"minimum": 0, "maximum": MAX_CALL_ID}
        properties[field.name] = property_
    required = [field.name for field in fields if field.required]
    return {
        "title": title, "description": when, "type": "object",
        "properties": properties, "required": required, "additionalProperties": True,
    }  # fmt: skip


def _event_type(name: str, title: str, when: str, fields: tuple[Field, ...], *, operational: bool = False) -> EventType:
    sample = files("gateway").joinpath("samples", f"{name}.json").read_bytes()
    return EventType(name, title, when, sample, fields, _schema(title, when, fields), operational)


EVENT_TYPES: tuple[EventType, ...] = (
    _event_type("call.created", "Call Created", "A call starts.", _CALL_FIELDS),
    _event_type(
        "call.ended",
        "Call Ended",
        "A call ends. Provisional: call_duration and billable_seconds may still be 0 until the call is saved.",
        _CALL_FIELDS,
    ),
    _event_type("call.saved", "Call Saved", "An agent saves the wrap form. The figures are final.", _CALL_FIELDS),
    _event_type("reg_f.declined", "Regulation F Declined", "A lead is marked ineligible.", _DECLINED_FIELDS),
    _event_type(
        "webhook.failing",
        "Webhook Failing",
        "No attempt to deliver to another webhook has succeeded for an hour.",
        _WEBHOOK_FIELDS,
        operational=True,
    ),
    _event_type(
        "webhook.paused",
        "Webhook Paused",
        "Another webhook was paused, by a person or by the gateway; its events are held.",
        _WEBHOOK_FIELDS,
        operational=True,
    ),
    _event_type(
        "webhook.resumed",
        "Webhook Resumed",
        "Another webhook was resumed; what was held is being delivered.",
        _WEBHOOK_FIELDS,
        operational=True,
    ),
)
PUSHED_TYPES: tuple[EventType, ...] = tuple(each for each in EVENT_TYPES if not each.operational)
"""What the switch may push."""

BY_NAME: Mapping[str, EventType] = {event_type.name: event_type for event_type in EVENT_TYPES}
PERSONAL_FIELDS: frozenset[str] = frozenset(
    field.name for event_type in EVENT_TYPES for field in event_type.fields if field.personal
)

_NAMES = {name: name for name in BY_NAME} | {each.title.casefold(): each.name for each in EVENT_TYPES}


def resolve(name: str) -> str | None:
    """The type's name from either spelling, `call.created` or `Call Created` (in any case); None if unknown."""
    return _NAMES.get(name) or _NAMES.get(name.casefold())


def json_type(field: Field) -> str:
    """The JSON type of a field's values, besides null where the field is not required."""
    return JSON_TYPES[field.type]
