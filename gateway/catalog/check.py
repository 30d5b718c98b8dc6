"""The check that a payload must pass before it is accepted.

Invariant: what it lets through every JSON parser reads alike. It is strict UTF-8 JSON, one object, no member twice at
any depth, no U+0000, nested at most `MAX_DEPTH` deep. The bytes themselves are never touched.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any, NoReturn

import msgspec
import orjson

from gateway.catalog.event_types import BY_NAME, EVENT_TYPES, JSON_TYPES, MAX_CALL_ID, CallId, EventType, Field
from gateway.errors import FieldError, Problem

MAX_DEPTH = 64
"""How deep objects and arrays may nest; the payload's own object is the first level."""
SHOWN_ERRORS = 10
"""How many offences of one kind are listed; who sends more has one cause for them all."""

_IN_WORDS = {"integer": "a whole number", "number": "a number", "string": "a string", "boolean": "true or false"}


class Checked(msgspec.Struct, frozen=True, gc=False):
    """What the gateway needs to know of a payload that passed: what orders it, and whose it is.

    A struct, since one is made per event and costs a fifth of a frozen dataclass.
    """

    call_key: str | None
    account_id: str | None


def _shape(event_type: EventType) -> type[msgspec.Struct]:
    """The struct that a payload is decoded into, only to see whether its known members have their types."""
    members: list[tuple[str, Any] | tuple[str, Any, Any]] = [
        (field.name, field.type) for field in event_type.fields if field.required
    ]
    members += [(field.name, field.type | None, None) for field in event_type.fields if not field.required]
    return msgspec.defstruct(event_type.title.replace(" ", ""), members, frozen=True, gc=False)


_SHAPES = {each.name: msgspec.json.Decoder(_shape(each)) for each in EVENT_TYPES}
_WITH_COLONS = ("call_date", "callback_time", "retry_at", "reason", "occurred_at")
"""Members, of payloads and of the envelope, whose values usually have colons; for others the check is slower."""
_ORDERED = frozenset(each.name for each in EVENT_TYPES if any(field.type is CallId for field in each.fields))


def check(type: str, payload: bytes, *, at: str = "") -> Checked:
    """What a payload of `type` (a resolved name) says about itself, or `Problem`: 400 `bad-json`, 422 `validation`.

    `at` is the JSON pointer of the payload in what the caller was sent; it precedes every pointer reported.
    """
    shape = _SHAPES.get(type)
    if shape is None:
        _refuse([FieldError("/type", f"there is no such event type; known are {', '.join(BY_NAME)}")])
    data = parse_object(payload, at=at)
    try:
        shape.decode(payload)  # a third of the cost of converting what is decoded already
    except msgspec.ValidationError:
        _refuse(list(_type_errors(BY_NAME[type], data, at)))
    call_key = str(data["call_id"]) if type in _ORDERED else None
    return Checked(call_key, data.get("account_id"))


def parse_object(payload: bytes, *, at: str = "") -> dict[str, Any]:
    """A JSON object that every parser reads alike, decoded; else `Problem`: 400 `bad-json`, 422 `validation`."""
    try:
        data = orjson.loads(payload)
    except orjson.JSONDecodeError as error:
        where = f"line {error.lineno} column {error.colno}"
        raise Problem(400, "bad-json", f"this is not valid JSON: {error.msg} at {where}") from None
    if data.__class__ is not dict:
        _refuse([FieldError(at, "it must be a JSON object")])
    if not _plain(payload, data):
        _check_structure(payload, data, at)
    return data


def _plain(payload: bytes, data: dict[str, Any]) -> bool:
    """Whether a few scans of the bytes already prove that no member is doubled, no string has U+0000, nothing nests.

    Each member has a colon. So if there are no more colons than distinct members and those in a few values that are
    known to have some, then there is no other member, neither a doubled nor a nested one. Exact, and 3 us cheaper
    than looking at each.
    """
    colons = payload.count(b":") - len(data)
    for name in _WITH_COLONS:
        value = data.get(name)
        if value.__class__ is str:
            colons -= value.count(":")
    # No \u00XX: one may be U+0000, or a colon of a value's that the bytes do not have.
    return not colons and b"[" not in payload and (b"\\" not in payload or b"\\u00" not in payload)


def _check_structure(payload: bytes, data: dict[str, Any], at: str) -> None:
    """The exact form of what `_plain` proves cheaply. Refuses with the first offence of each kind."""
    errors = [FieldError(at + pointer, detail) for pointer, detail in _structure_errors(data)]
    if errors:
        _refuse(errors)

    doubled: list[str] = []

    def note_doubled(pairs: list[tuple[str, Any]]) -> None:
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                doubled.append(key)
            seen.add(key)

    # Numbers stay text: this pass is about keys, and Python refuses to convert very long integers.
    json.loads(payload, object_pairs_hook=note_doubled, parse_int=str, parse_float=str)
    if doubled:
        shown = doubled[:SHOWN_ERRORS]
        _refuse([FieldError(f"{at}/{_escape(key)}", "this member appears more than once") for key in shown])


def _structure_errors(data: dict[str, Any]) -> Iterator[tuple[str, str]]:
    """Nesting that is too deep, or else strings with U+0000. Iterative, since the input may be 1,024 deep."""
    found = 0
    pending: list[tuple[str, Any, int]] = [("", data, 1)]
    while pending and found < SHOWN_ERRORS:
        pointer, value, depth = pending.pop()
        if isinstance(value, str):
            if "\0" in value:
                found += 1
                yield pointer, "a string must not contain U+0000, which most databases cannot store"
            continue
        if isinstance(value, dict | list) and depth > MAX_DEPTH:
            yield pointer[:200], f"objects and arrays may be nested at most {MAX_DEPTH} deep"
            return
        if isinstance(value, dict):
            for key, member in value.items():
                if "\0" in key:
                    found += 1
                    yield pointer, "the name of a member must not contain U+0000"
                pending.append((f"{pointer}/{_escape(key)}", member, depth + 1))
        elif isinstance(value, list):
            pending += [(f"{pointer}/{place}", item, depth + 1) for place, item in enumerate(value)]


def _type_errors(event_type: EventType, data: dict[str, Any], at: str) -> Iterator[FieldError]:
    """Every known member that is missing or has the wrong type, in words."""
    for field in event_type.fields:
        pointer = f"{at}/{field.name}"
        if field.name not in data:
            if field.required:
                yield FieldError(pointer, f"{field.name} is required")
            continue
        try:
            msgspec.convert(data[field.name], field.type if field.required else field.type | None)
        except msgspec.ValidationError:
            yield FieldError(pointer, f"{field.name} must be {_in_words(field)}, not {_shown(data[field.name])}")


def _in_words(field: Field) -> str:
    if field.type is CallId:
        return f"a whole number from 0 to {MAX_CALL_ID}"
    words = _IN_WORDS[str(JSON_TYPES[field.type])]
    return words if field.required else f"{words} or null"


def _shown(value: object) -> str:
    """A wrong value, short; of strings only that it is one, since they may be personal data."""
    if isinstance(value, str):
        return "a string"
    if isinstance(value, dict | list):
        return "an object" if isinstance(value, dict) else "an array"
    return json.dumps(value)[:40]


def _escape(key: str) -> str:
    """A member's name inside a JSON pointer (RFC 6901 §3), cut to a length that is fit to show."""
    return key[:100].replace("~", "~0").replace("/", "~1").replace("\0", "\\u0000")


def _refuse(errors: list[FieldError]) -> NoReturn:
    raise Problem(422, "validation", f"the payload does not fit its event type: {errors[0].detail}", errors=errors)
