"""Pages of a list: `limit` and `cursor` in, `items` and `next_cursor` out.

A cursor is a position in one kind of list, spelled so that nobody is tempted to write one by hand. It
carries a checksum, and no right: what a caller may see is decided on each page anew. Invariant: a
cursor that was damaged, or comes from another list, is refused and never read as some other position.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Callable, Sequence
from typing import Annotated, Generic, TypeVar

import orjson
from pydantic import BaseModel, ConfigDict, Field

from gateway.errors import FieldError, Problem
from gateway.http import invalid

LIMIT_MAX = 500
LIMIT_DEFAULT = 50
CHECK_BYTES = 6

Item = TypeVar("Item")
Row = TypeVar("Row")
Position = list[str | int | None]


class PageQuery(BaseModel):
    """The query parameters that every list takes; a list with filters extends it."""

    model_config = ConfigDict(extra="forbid")

    limit: Annotated[int, Field(ge=1, le=LIMIT_MAX, description="The most items of one page.")] = LIMIT_DEFAULT
    cursor: Annotated[
        str | None, Field(max_length=512, description="`next_cursor` of the page before; absent for the first.")
    ] = None


class TenantPageQuery(PageQuery):
    tenant: Annotated[
        str | None, Field(max_length=100, description="Only this tenant's; all that the token may see unless given.")
    ] = None


class Page(BaseModel, Generic[Item]):
    """One page. `next_cursor` is null on the last one."""

    items: list[Item]
    next_cursor: str | None


def page(items: Sequence[object], next_cursor: str | None) -> dict[str, object]:
    """The body of a list's answer."""
    return {"items": list(items), "next_cursor": next_cursor}


def encode_cursor(scope: str, position: Sequence[str | int | None]) -> str:
    """`scope` names the list; `position` is the sort key of the last item shown."""
    body = orjson.dumps(list(position))
    return base64.urlsafe_b64encode(_check(scope, body) + body).decode().rstrip("=")


def decode_cursor(scope: str, cursor: str | None) -> Position | None:
    """The position behind a cursor; None for the first page. Problem 422 where the cursor is not ours."""
    if cursor is None:
        return None
    try:
        raw = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        check, body = raw[:CHECK_BYTES], raw[CHECK_BYTES:]
        if check != _check(scope, body):
            raise _bad_cursor()
        position: Position = orjson.loads(body)
    except (binascii.Error, ValueError):
        raise _bad_cursor() from None
    return position


def paged(
    scope: str, rows: Sequence[Row], query: PageQuery, *, key: Callable[[Row], str]
) -> tuple[list[Row], str | None]:
    """One page of a list that is whole in memory, ordered by `key`, which must be unique."""
    after = decode_cursor(scope, query.cursor)
    start = str(after[0]) if after else ""
    left = sorted((row for row in rows if key(row) > start), key=key)
    shown = left[: query.limit]
    return shown, encode_cursor(scope, [key(shown[-1])]) if len(left) > len(shown) else None


def _check(scope: str, body: bytes) -> bytes:
    return hashlib.sha256(scope.encode() + b"\0" + body).digest()[:CHECK_BYTES]


def _bad_cursor() -> Problem:
    return invalid(FieldError("cursor", "this is not a cursor of this list; take next_cursor as it was given"))
