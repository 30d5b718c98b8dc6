"""What targets receive, as the `webhooks` section of the OpenAPI document.

Invariant: one entry for each event type, with the schema and the sample that the catalog has.
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.catalog import EVENT_TYPES, EventType

HEADERS = (
    ("webhook-id", "The event's id, a UUIDv7: the same in every attempt and replay. Use it to tell repeats.", "uuid"),
    ("webhook-timestamp", "When this attempt was made, in Unix seconds. Refuse what is older than minutes.", None),
    (
        "webhook-signature",
        "Standard Webhooks 1.0: `v1,` and the base64 of HMAC-SHA256 over `id.timestamp.body` with the webhook's "
        "secret; several, separated by spaces, while a secret is being rotated.",
        None,
    ),
    ("webhook-event", "The event's type.", None),
    ("webhook-attempt", "1 for the first attempt, 2 for the next.", None),
)


def webhooks() -> dict[str, Any]:
    return {event_type.name: {"post": _operation(event_type)} for event_type in EVENT_TYPES}


def _operation(event_type: EventType) -> dict[str, Any]:
    return {
        "operationId": "receive_" + event_type.name.replace(".", "_"),
        "summary": event_type.title,
        "description": f"{event_type.when} Sent with the webhook's method and its access's credential.",
        "security": [],
        "parameters": [_header(*header, event_type=event_type) for header in HEADERS],
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": dict(event_type.schema), "example": orjson.loads(event_type.sample)}
            },
        },
        "responses": {
            "2XX": {"description": "Received. Answer at once, and work afterwards."},
            "410": {"description": "Gone: the webhook is paused and holds its events."},
            "429": {"description": "Too much: tried again after `Retry-After`."},
            "default": {
                "description": "Anything else is tried again on the webhook's schedule; 3xx is never followed."
            },
        },
    }


def _header(name: str, description: str, format: str | None, *, event_type: EventType) -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "string"}
    if format is not None:
        schema["format"] = format
    if name == "webhook-event":
        schema["const"] = event_type.name
    if name in ("webhook-timestamp", "webhook-attempt"):
        schema = {"type": "integer", "minimum": 1}
    return {"name": name, "in": "header", "required": True, "description": description, "schema": schema}
