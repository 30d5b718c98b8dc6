"""What the switch sends around a payload, taken apart without touching the payload's bytes.

Invariant: `data` is exactly the bytes that stood in the envelope, and the rest of the envelope passed the same
strictness as a payload does (no doubled member, valid UTF-8, no U+0000).
"""

from __future__ import annotations

import re
from datetime import UTC, datetime

import msgspec

from gateway.catalog import parse_object
from gateway.errors import FieldError, Problem
from gateway.http import invalid

KEY_CHARS = 255
BATCH_EVENTS = 1_000


class Envelope(msgspec.Struct):
    """`{"type", "data", "tenant"?, "id"?, "occurred_at"?}`; other members are allowed and ignored."""

    type: str
    data: msgspec.Raw
    tenant: str | None = None
    id: str | None = None
    occurred_at: datetime | None = None


_DECODER = msgspec.json.Decoder(Envelope)
_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
_PLACEHOLDER = b"0"
_MISSING = re.compile("Object missing required field `([a-z_]+)`")


def parse_envelope(body: bytes) -> tuple[Envelope, bytes]:
    """The envelope, and the bytes of its `data`. Problem 400 or 422."""
    try:
        envelope = _DECODER.decode(body)
    except (msgspec.ValidationError, UnicodeDecodeError, RecursionError, msgspec.DecodeError) as error:
        parse_object(body)  # says what and where, if it is the JSON that is at fault
        raise _unfit(error) from None
    data = bytes(envelope.data)
    start = body.find(data)
    parse_object(body[:start] + _PLACEHOLDER + body[start + len(data) :])
    if envelope.id is not None:
        check_key(envelope.id, "/id")
    if envelope.occurred_at is not None:
        envelope.occurred_at = _in_utc(envelope.occurred_at)
    return envelope, data


def split_batch(body: bytes) -> list[bytes]:
    """The items of a batch: of a JSON array, or the lines of NDJSON. Problem 400, 413 or 422."""
    if body.lstrip()[:1] == b"[":
        try:
            items = [bytes(item) for item in _ARRAY.decode(body)]
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Problem(400, "bad-json", f"the batch is not valid JSON: {error}") from None
    else:
        items = [line for line in body.splitlines() if line.strip()]
    if not items:
        raise invalid(FieldError("", "the batch is empty; send a JSON array or one JSON object a line"))
    if len(items) > BATCH_EVENTS:
        raise Problem(413, "too-large", f"a batch has at most {BATCH_EVENTS} events; this one has {len(items)}")
    return items


def check_key(key: str, place: str) -> None:
    """An idempotency key is 1 to 255 characters that can be stored and shown."""
    if not 0 < len(key) <= KEY_CHARS or not key.isprintable():
        raise invalid(FieldError(place, f"an idempotency key has 1 to {KEY_CHARS} printable characters"))


def _in_utc(at: datetime) -> datetime:
    """Without a zone it is taken for UTC; some with one are in UTC before the year 1 or after 9999."""
    try:
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except OverflowError:
        raise invalid(FieldError("/occurred_at", "in UTC this is not within the years 1 to 9999")) from None


def _unfit(error: Exception) -> Problem:
    if isinstance(error, msgspec.ValidationError):
        if missing := _MISSING.fullmatch(str(error)):
            return invalid(FieldError("/" + missing[1], "this is required"))
        detail, _, path = str(error).partition(" - at `$.")
        place = "/" + path.rstrip("`").replace(".", "/") if path else ""
        return invalid(FieldError(place, detail))
    return Problem(400, "bad-json", f"this is not valid JSON: {error}")
