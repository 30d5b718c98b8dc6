"""What a filter shows, as a file: CSV for spreadsheets, JSON Lines for programs.

Invariant: rows are read and sent a page at a time, so a file of a million rows takes the memory of a few hundred; a
cell never begins with what a spreadsheet would run as a formula.
"""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime

import orjson
from aiohttp import web

from gateway.admin import present
from gateway.admin.read_schemas import AttemptOut
from gateway.console.logs import PATH, log_filter
from gateway.console.visit import Page, Visit
from gateway.console.zone import Zone
from gateway.errors import Problem
from gateway.store.attempt_log import AttemptFilter, AttemptLog, AttemptSummary

ROWS_LIMIT = 1_000_000
"""As many as a spreadsheet takes."""
CHUNK_ROWS = 500
FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n")
COLUMNS = tuple(AttemptOut.model_fields)


class LogExport:
    def __init__(self, log: AttemptLog) -> None:
        self._log = log

    def pages(self) -> list[Page]:
        return [
            Page(method="GET", path=PATH + ".csv", handler=self.csv),
            Page(method="GET", path=PATH + ".jsonl", handler=self.jsonl),
        ]

    async def csv(self, visit: Visit) -> web.StreamResponse:
        return await self._send(visit, "text/csv", "csv", csv_lines, head=csv_text([COLUMNS]))

    async def jsonl(self, visit: Visit) -> web.StreamResponse:
        return await self._send(visit, "application/jsonl", "jsonl", json_lines, head=b"")

    async def _send(
        self,
        visit: Visit,
        content_type: str,
        ending: str,
        lines: Callable[[Sequence[AttemptSummary]], bytes],
        *,
        head: bytes,
    ) -> web.StreamResponse:
        now = datetime.now(UTC)
        shown = log_filter(visit, Zone.of(visit.request), now)
        if shown.wanted is None:
            raise Problem(422, "validation", "; ".join(shown.errors.values()))
        chunks = self._chunks(shown.wanted)
        first: Sequence[AttemptSummary] = await anext(
            chunks, []
        )  # a question that cannot be answered becomes a page, not half a file
        response = web.StreamResponse(
            headers={
                "Content-Type": f"{content_type}; charset=utf-8",
                "Content-Disposition": f'attachment; filename="webhooks-log-{now:%Y%m%dT%H%M%SZ}.{ending}"',
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-store",
            }
        )
        await response.prepare(visit.request)
        await response.write(head + lines(first))
        async for chunk in chunks:
            await response.write(lines(chunk))
        await response.write_eof()
        return response

    async def _chunks(self, wanted: AttemptFilter) -> AsyncIterator[list[AttemptSummary]]:
        left = ROWS_LIMIT
        while left > 0:
            found = await self._log.search(wanted, min(CHUNK_ROWS, left))
            left -= len(found.attempts)
            yield found.attempts
            if found.next_id is None:
                return
            wanted = replace(wanted, before_id=found.next_id)


def csv_lines(attempts: Sequence[AttemptSummary]) -> bytes:
    return csv_text([cell(value) for value in _members(attempt).values()] for attempt in attempts)


def csv_text(rows: Iterable[Sequence[str]]) -> bytes:
    """RFC 4180."""
    text = io.StringIO()
    csv.writer(text).writerows(rows)
    return text.getvalue().encode("utf-8", "replace")


def json_lines(attempts: Sequence[AttemptSummary]) -> bytes:
    """One item of the API's log a line."""
    return b"".join(
        orjson.dumps(_members(attempt), option=orjson.OPT_APPEND_NEWLINE | orjson.OPT_UTC_Z) for attempt in attempts
    )


def _members(attempt: AttemptSummary) -> dict[str, object]:
    return present.attempt(attempt).model_dump()


def cell(value: object) -> str:
    """A value as text that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    text = value.isoformat().replace("+00:00", "Z") if isinstance(value, datetime) else str(value)
    return "'" + text if text.startswith(FORMULA) else text
