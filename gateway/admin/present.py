"""How attempts and events are shown: as the API's shapes, with what the caller may not see masked.

Invariant: secrets were masked before anything was stored; here the phone numbers are, for viewers. Payloads of all
others are shown as the very bytes that were pushed.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlsplit

import msgspec
import orjson
from aiohttp import web

from gateway import catalog
from gateway.admin.auth import Principal
from gateway.admin.read_schemas import (
    AttemptInFullOut,
    AttemptOut,
    DeliveryOut,
    EventOut,
    FieldErrorOut,
    RejectedOut,
    RequestOut,
    ResponseOut,
)
from gateway.delivery.diagnosis import Diagnosis, diagnose
from gateway.delivery.masking import STARS, mask_personal, mask_personal_url, mask_phones, mask_url, personal_values
from gateway.delivery.request import BODILESS, splice, with_query
from gateway.errors import Problem
from gateway.ids import id_time
from gateway.log import AttemptRecord
from gateway.model import ErrorKind, Role
from gateway.store.attempt_log import AttemptInFull, AttemptSummary
from gateway.store.rejected import Rejection
from gateway.store.timeline import DeliveryView, EventView

_UUID_CHARS = 36
_HEX = frozenset("0123456789abcdef-")


def path_id(request: web.Request, what: str) -> str:
    """The id in the path. Problem 404 where it is no id, since then there is nothing of that id either."""
    id = request.match_info["id"].lower()
    if (
        len(id) != _UUID_CHARS
        or not _HEX.issuperset(id)
        or [i for i, c in enumerate(id) if c == "-"] != [8, 13, 18, 23]
    ):
        raise Problem(404, "not-found", f"there is no {what} with this id")
    return id


def sees_phone_numbers(who: Principal) -> bool:
    return who.is_at_least(Role.OPERATOR)


def attempt(shown: AttemptSummary | AttemptRecord) -> AttemptOut:
    return AttemptOut(**_attempt(shown))


def diagnosis(shown: AttemptSummary | AttemptRecord) -> Diagnosis | None:
    """Why it failed; None where it did not."""
    error = None if shown.error is None else ErrorKind(shown.error)
    target = urlsplit(shown.url)
    return diagnose(error, shown.status, shown.detail, host=target.hostname, port=target.port)


def _attempt(shown: AttemptSummary | AttemptRecord) -> dict[str, Any]:
    error = None if shown.error is None else ErrorKind(shown.error)
    words = diagnosis(shown)
    return {
        "id": shown.id,
        "event_id": shown.event_id,
        "event_type": shown.event_type,
        "webhook_id": shown.webhook_id,
        "attempt": shown.number,
        "started_at": id_time(shown.id),
        "duration_ms": shown.duration_us / 1000,
        "outcome": "success" if shown.ok else "failure",
        "status_code": shown.status,
        "error": error,
        "diagnosis": None if words is None else str(words),
        "test": shown.test,
    }


def attempt_in_full(found: AttemptInFull, *, phones: bool) -> AttemptInFullOut:
    """`phones` says whether the caller may see phone numbers."""
    record, payload = found.record, found.payload
    if payload is None and record.test:
        payload = catalog.BY_NAME[record.event_type].sample
    personal = [] if phones or payload is None else list(personal_values(orjson.loads(payload)))
    body = None if payload is None else _with_key(record, payload)
    bodiless = record.method in BODILESS
    url = mask_url(record.url)
    if bodiless and body is not None:
        url = with_query(url, body).replace(quote(STARS), STARS)
    return AttemptInFullOut(
        **_attempt(record),
        phases_ms=dict(record.phases_ms),
        request=RequestOut(
            method=record.method,
            url=url if phones else mask_personal_url(url, personal),
            headers=_headers(record.request_headers),
            sent=None if bodiless or body is None else _data(body, phones=phones),
        ),
        response=_response(record, personal, phones=phones),
    )


def _with_key(record: AttemptRecord, payload: bytes) -> bytes:
    """The payload as it was sent, with the mask of an API key where one was put in."""
    if record.body_key is None:
        return payload
    return splice(payload, msgspec.json.encode(record.body_key) + b':"' + STARS.encode() + b'"')


def _response(record: AttemptRecord, personal: list[str], *, phones: bool) -> ResponseOut | None:
    if record.status is None:
        return None
    headers = _headers(record.response_headers or b"")
    body = (record.response_body or b"").decode("utf-8", "replace")
    if not phones:
        headers = {name: mask_phones(value, personal) for name, value in headers.items()}
        body = mask_phones(body, personal)
    return ResponseOut(status=record.status, headers=headers, body=body, truncated=record.truncated)


def event(view: EventView, *, phones: bool) -> EventOut:
    return EventOut(
        id=view.id,
        type=view.type,
        tenant=view.tenant,
        received_at=id_time(view.id),
        data=_data(view.payload, phones=phones),
        deliveries=[_delivery(delivery) for delivery in view.deliveries],
    )


def _delivery(view: DeliveryView) -> DeliveryOut:
    return DeliveryOut(
        webhook_id=view.webhook_id,
        state=view.state,
        next_at=view.next_at,
        attempts=[attempt(each) for each in view.attempts],
    )


def rejection(found: Rejection, tenant: str | None, *, phones: bool) -> RejectedOut:
    return RejectedOut(
        id=found.id,
        received_at=id_time(found.id),
        tenant=tenant,
        type=found.type,
        errors=[FieldErrorOut(pointer=error.pointer, detail=error.detail) for error in found.errors],
        body=found.body.decode("utf-8", "replace") if phones else _masked_body(found.body),
    )


def _masked_body(body: bytes) -> str:
    try:
        return orjson.dumps(mask_personal(orjson.loads(body))).decode()
    except (orjson.JSONDecodeError, orjson.JSONEncodeError, RecursionError):
        return mask_phones(body.decode("utf-8", "replace"))


def _data(payload: bytes, *, phones: bool) -> Any:
    """A payload as a JSON value: the bytes themselves, unless something in them is to be masked."""
    return orjson.Fragment(payload) if phones else mask_personal(orjson.loads(payload))


def _headers(lines: bytes) -> Mapping[str, str]:
    """Header lines as a mapping; values of a name that came more than once are joined (RFC 9110 §5.3)."""
    headers: dict[str, str] = {}
    for line in lines.decode("utf-8", "replace").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers[name] = f"{headers[name]}, {value.strip()}" if name in headers else value.strip()
    return headers
