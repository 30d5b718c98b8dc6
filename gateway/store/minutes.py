"""The table `minutes`: what happened, added up by spans of time.

Invariant: writing adds to what is there, so counts of one span may come in pieces, from one process or the next.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from gateway.ids import ZERO_ID, id_time
from gateway.store.reading import Database
from gateway.telemetry.rollup import SPANS_S, Tally, merged

KEPT: Mapping[int, timedelta] = {60: timedelta(days=2), 900: timedelta(days=9)}
"""How long the finer spans are kept; the others as long as the log."""

# Arrays of arrays have no unnest of their own, so histograms travel as text.
ADD = """
INSERT INTO minutes AS m (span_s, webhook_id, tenant_id, at, accepted, ok, failed, lag, took)
SELECT span_s, webhook_id, tenant_id, at, accepted, ok, failed, lag::integer[], took::integer[]
FROM unnest($1::integer[], $2::uuid[], $3::integer[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::bigint[],
            $8::text[], $9::text[]) AS new (span_s, webhook_id, tenant_id, at, accepted, ok, failed, lag, took)
ON CONFLICT (span_s, webhook_id, tenant_id, at) DO UPDATE
SET accepted = m.accepted + excluded.accepted, ok = m.ok + excluded.ok, failed = m.failed + excluded.failed,
    lag = ARRAY(SELECT a + b FROM unnest(m.lag, excluded.lag) WITH ORDINALITY AS pair (a, b, place) ORDER BY place),
    took = ARRAY(SELECT a + b FROM unnest(m.took, excluded.took) WITH ORDINALITY AS pair (a, b, place) ORDER BY place)
"""

TRIM = "DELETE FROM minutes WHERE span_s = $1 AND at < $2"

_COLUMNS = "extract(epoch FROM at)::bigint AS at_s, tenant_id, webhook_id::text, accepted, ok, failed, lag, took"

TOTALS = f"""
SELECT {_COLUMNS} FROM minutes
WHERE span_s = $1 AND webhook_id = '{ZERO_ID}' AND tenant_id = ANY($2::integer[]) AND at >= $3 ORDER BY at
"""  # noqa: S608 (no input in it)

HISTORY = f"""
SELECT {_COLUMNS} FROM minutes WHERE span_s = $1 AND webhook_id = ANY($2::uuid[]) AND at >= $3 ORDER BY at
"""  # noqa: S608 (no input in it)

SUMS = """
SELECT webhook_id::text, sum(ok)::bigint AS ok, sum(failed)::bigint AS failed FROM minutes
WHERE span_s = $1 AND webhook_id = ANY($2::uuid[]) AND at >= $3 GROUP BY webhook_id
"""

# The newest attempt of each webhook, from the end of its part of the index.
LATEST = """
SELECT asked.webhook_id::text, newest.id::text, newest.ok
FROM unnest($1::uuid[]) AS asked (webhook_id)
CROSS JOIN LATERAL (
    SELECT a.id, a.ok FROM attempts AS a WHERE a.webhook_id = asked.webhook_id ORDER BY a.id DESC LIMIT 1
) AS newest
"""


@dataclass(frozen=True, slots=True)
class Sums:
    ok: int
    failed: int


@dataclass(frozen=True, slots=True)
class Latest:
    """A webhook's newest attempt: when it began and how it ended."""

    at: datetime
    ok: bool


class MinuteStore:
    """Owns `minutes`. Reads take the span to read by, one of `SPANS_S`, and from when on."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def add(self, tallies: Iterable[Tally]) -> None:
        """Add minutes to the spans they belong to. Not idempotent. Raises `Unavailable`."""
        rows = [(span_s, tally) for span_s in SPANS_S for tally in merged(tallies, span_s)]
        async with self._database.writing() as connection:
            await connection.execute(
                ADD,
                [span_s for span_s, _ in rows],
                [tally.webhook_id for _, tally in rows],
                [tally.tenant_id for _, tally in rows],
                [datetime.fromtimestamp(tally.at_s, UTC) for _, tally in rows],
                [tally.accepted for _, tally in rows],
                [tally.ok for _, tally in rows],
                [tally.failed for _, tally in rows],
                [_literal(tally.lag) for _, tally in rows],
                [_literal(tally.took) for _, tally in rows],
            )

    async def trim(self, now: datetime, retention: timedelta) -> None:
        """Forget spans that no page shows any more."""
        async with self._database.writing() as connection:
            for span_s in SPANS_S:
                await connection.execute(TRIM, span_s, now - KEPT.get(span_s, retention))

    async def totals(self, span_s: int, since: datetime, tenant_ids: Sequence[int]) -> list[Tally]:
        """Each of these tenants' totals, oldest first."""
        async with self._database.reading() as connection:
            return [_tally(row) for row in await connection.fetch(TOTALS, span_s, tenant_ids, since)]

    async def history(self, span_s: int, since: datetime, webhook_ids: Sequence[str]) -> list[Tally]:
        """Each of these webhooks' counts, oldest first."""
        async with self._database.reading() as connection:
            return [_tally(row) for row in await connection.fetch(HISTORY, span_s, webhook_ids, since)]

    async def sums(self, span_s: int, since: datetime, webhook_ids: Sequence[str]) -> dict[str, Sums]:
        """What each of these webhooks did in all; those that did nothing are missing."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(SUMS, span_s, webhook_ids, since)
        return {row["webhook_id"]: Sums(row["ok"], row["failed"]) for row in rows}

    async def latest(self, webhook_ids: Sequence[str]) -> dict[str, Latest]:
        """The newest attempt of each of these webhooks; those that never had one are missing."""
        async with self._database.reading() as connection:
            rows = await connection.fetch(LATEST, webhook_ids)
        return {row["webhook_id"]: Latest(id_time(row["id"]), row["ok"]) for row in rows}


def _tally(row: asyncpg.Record) -> Tally:
    return Tally(**(dict(row) | {"lag": tuple(row["lag"]), "took": tuple(row["took"])}))


def _literal(numbers: Sequence[int]) -> str:
    return "{" + ",".join(map(str, numbers)) + "}"
