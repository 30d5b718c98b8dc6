"""The switch's door and the machines' addresses in the OpenAPI document.

They are served without models, for speed, and therefore described by hand. Invariant: a test compares these paths
with the routes that are served.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.catalog import PUSHED_TYPES

TAG = "Push events"
MACHINES = "Machines"

_TYPES = [each.name for each in PUSHED_TYPES] + [each.title for each in PUSHED_TYPES]
_CREATED = PUSHED_TYPES[0]
_PAYLOAD = orjson.loads(_CREATED.sample)


def _ref(name: str) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{name}"}


def _problems(*statuses: int) -> dict[str, Any]:
    descriptions = {
        400: "It is not JSON.",
        401: "No token, or one that is not known.",
        403: "The token may not push, or not for this tenant.",
        408: "The body came too slowly.",
        413: "It is too large.",
        415: "It is compressed; send it plain.",
        422: "Unknown type, or a payload that does not fit it. It is kept under /api/v1/rejected.",
        429: "The tenant is over its quota; nothing was stored. Push it again after `Retry-After`.",
        503: "The database is away or the intake is full; nothing was stored. Push it again after `Retry-After`.",
    }
    content = {"application/problem+json": {"schema": _ref("Problem")}}
    return {str(status): {"description": descriptions[status], "content": content} for status in statuses}


def _header(name: str, description: str) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": False, "description": description, "schema": {"type": "string"}}


_KEY = _header("Idempotency-Key", "Makes the push idempotent: the same key and bytes get the first answer again.")
_TENANT = _header("X-Tenant", "The customer that the event belongs to; `default` where there is only one.")


def _push(summary: str, description: str, body: Mapping[str, Any], answer: str, **more: Any) -> dict[str, Any]:
    accepted = {"description": "Committed, and on its way.", "content": {"application/json": {"schema": _ref(answer)}}}
    return {
        "summary": summary,
        "description": f"{description} Takes a token of the role ingest, operator or admin.",
        "tags": [TAG],
        "requestBody": {"required": True, "content": body},
        "responses": {"202": accepted} | _problems(400, 401, 403, 408, 413, 415, 422, 429, 503),
        **more,
    }


def _machine(id: str, summary: str, *, content: Mapping[str, Any], may_fail: bool = False) -> dict[str, Any]:
    return {
        "operationId": id,
        "summary": summary,
        "tags": [MACHINES],
        "security": [],
        "responses": {"200": {"description": "It is.", "content": content}} | (_problems(503) if may_fail else {}),
    }


_STATUS = {"application/json": {"schema": _ref("Status")}}
_ENVELOPE_EXAMPLE = {"type": _CREATED.name, "data": _PAYLOAD, "id": "switch-7/11142/created"}

DOOR: Mapping[str, Mapping[str, Any]] = {
    "/v1/events": {
        "post": _push(
            "Push an event",
            "Answers after the commit. The JSON in `data` reaches targets byte for byte.",
            {"application/json": {"schema": _ref("EventIn"), "example": _ENVELOPE_EXAMPLE}},
            "Accepted",
            operationId="push_event",
            parameters=[_KEY, _TENANT],
        )
    },
    "/v1/events/batch": {
        "post": _push(
            "Push up to 1,000 events",
            "A JSON array, or one JSON object a line. Each is accepted or refused on its own, in this order. What was"
            " refused with 429 or 503 is to be pushed again, after its `retry_after_s`; where that is all of it, so is"
            " the answer.",
            {
                "application/json": {"schema": {"type": "array", "items": _ref("EventIn"), "maxItems": 1000}},
                "application/x-ndjson": {"schema": {"type": "string"}},
            },
            "BatchAccepted",
            operationId="push_events",
            parameters=[_TENANT],
        )
    },
    "/v1/events/{type}": {
        "post": _push(
            "Push a payload",
            "The raw payload is the body; its type is in the address, by name or by title.",
            {"application/json": {"schema": {"type": "object"}, "example": _PAYLOAD}},
            "Accepted",
            operationId="push_payload",
            parameters=[
                {"name": "type", "in": "path", "required": True, "schema": {"type": "string", "enum": _TYPES}},
                _KEY,
                _TENANT,
            ],
        )
    },
}

MACHINE_PATHS: Mapping[str, Mapping[str, Any]] = {
    "/livez": {"get": _machine("livez", "Is the process up?", content=_STATUS)},
    "/readyz": {"get": _machine("readyz", "Is the gateway ready for events?", content=_STATUS, may_fail=True)},
    "/healthz": {"get": _machine("healthz", "The same as /readyz.", content=_STATUS, may_fail=True)},
    "/metrics": {"get": _machine("metrics", "Metrics for Prometheus.", content={"text/plain": {}})},
}

COMPONENTS: Mapping[str, Mapping[str, Any]] = {
    "EventIn": {
        "type": "object",
        "required": ["type", "data"],
        "properties": {
            "type": {"type": "string", "enum": _TYPES},
            "data": {"type": "object", "description": "The payload, which reaches targets byte for byte."},
            "tenant": {"type": ["string", "null"], "description": "The customer that the event belongs to."},
            "id": {
                "type": ["string", "null"],
                "minLength": 1,
                "maxLength": 255,
                "description": "Makes the push idempotent, like `Idempotency-Key`.",
            },
            "occurred_at": {"type": ["string", "null"], "format": "date-time"},
        },
    },
    "Accepted": {
        "type": "object",
        "required": ["id", "duplicate"],
        "properties": {
            "id": {"type": "string", "format": "uuid", "description": "Targets see it as webhook-id."},
            "duplicate": {"type": "boolean", "description": "True where this push repeats an earlier one."},
        },
    },
    "BatchAccepted": {
        "type": "object",
        "required": ["results"],
        "properties": {
            "results": {
                "type": "array",
                "items": {
                    "anyOf": [
                        _ref("Accepted"),
                        {"type": "object", "required": ["error"], "properties": {"error": _ref("ItemProblem")}},
                    ]
                },
            }
        },
    },
    "ItemProblem": {
        "allOf": [
            _ref("Problem"),
            {
                "type": "object",
                "properties": {
                    "retry_after_s": {"type": "integer", "description": "What is to be pushed again may come then."}
                },
            },
        ]
    },
    "Status": {"type": "object", "required": ["status"], "properties": {"status": {"type": "string"}}},
    "Problem": {
        "type": "object",
        "description": "RFC 9457. `type` is stable; `detail` is a sentence for people.",
        "required": ["type", "status", "detail"],
        "properties": {
            "type": {"type": "string", "format": "uri-reference"},
            "title": {"type": "string"},
            "status": {"type": "integer"},
            "detail": {"type": "string"},
            "instance": {"type": "string"},
            "errors": {
                "type": "array",
                "items": {
                    "type": "object",
                    "required": ["pointer", "detail"],
                    "properties": {"pointer": {"type": "string"}, "detail": {"type": "string"}},
                },
            },
        },
    },
}
