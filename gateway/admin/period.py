"""Points in time and spans of them as callers write them: RFC 3339, or a date, which is a whole day in UTC.

Invariant: a span includes its beginning and not its end, so spans that touch share nothing. A date as an end means
that the day belongs to the span.
"""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated

from pydantic import BeforeValidator, Field

from gateway.errors import FieldError
from gateway.http import invalid
from gateway.ids import floor_id

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
"""Ids have no time before this."""

_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_INSTANT = re.compile(r"(\d{4}-\d\d-\d\d)[Tt ](\d\d:\d\d:\d\d)(\.\d{1,9})?([Zz]|[+ -]\d\d:\d\d)", re.ASCII)
_FORMS = "write a date such as 2026-01-31, or a time such as 2026-01-31T12:00:00Z, with its zone"


def parse_begin(value: object) -> object:
    """The instant that a `from` means."""
    return _parse(value, days_later=0)


def parse_end(value: object) -> object:
    """The instant that a `to` means: for a date, the end of that day."""
    return _parse(value, days_later=1)


Begin = Annotated[
    datetime,
    BeforeValidator(parse_begin, json_schema_input_type=str),
    Field(description="From this time on: RFC 3339, or a date, which means its first moment in UTC."),
]
End = Annotated[
    datetime,
    BeforeValidator(parse_end, json_schema_input_type=str),
    Field(description="Before this time: RFC 3339, or a date, which includes that whole day in UTC."),
]


def id_bounds(begin: datetime | None, end: datetime | None, *, place: str) -> tuple[str | None, str | None]:
    """The span as bounds of ids, the first included, the second not. Problem 422 where it ends before it begins.

    `place` is what precedes `from` in the caller's input: `/` in a body, nothing in a query.
    """
    if begin is not None and end is not None and begin >= end:
        raise invalid(FieldError(f"{place}from", "from must be before to; exchange the two"))
    return _bound(begin), _bound(end)


def _parse(value: object, *, days_later: int) -> object:
    if not isinstance(value, str):
        raise ValueError(_FORMS)
    try:
        if _DATE.fullmatch(value):
            day = datetime.combine(date.fromisoformat(value), time(), UTC)
            return day + timedelta(days=days_later)
        found = _INSTANT.fullmatch(value)
        if found is None:
            raise ValueError(_FORMS)
        day_, time_, fraction, zone = found.groups()
        zone = "+00:00" if zone in "Zz" else zone.replace(" ", "+")  # a plus that the query string ate
        return datetime.fromisoformat(f"{day_}T{time_}{(fraction or '')[:7]}{zone}").astimezone(UTC)
    except (ValueError, OverflowError):
        raise ValueError(_FORMS) from None


def _bound(at: datetime | None) -> str | None:
    return None if at is None else floor_id(max(at, EPOCH))
