"""A log as it is after a busy week, made by the database itself: millions of attempts in a minute or two.

Invariant: it has what makes questions hard: a webhook that always fails, an event type that is rare, an account that
calls all day, and a webhook that never got some of the events.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

import asyncpg

from gateway.store.partitions import make_partitions
from gateway.store.session import Session

DAYS = 7
PER_EVENT = 3
RARE_EVERY = 1_000
"""One event in so many is no call."""
FAILED_EVERY = 50
DENSE_EVERY = 20
"""One event in so many belongs to `DENSE_ACCOUNT`."""
DENSE_ACCOUNT = "00000042"
CALL_EVENTS = 3
FIRST_CALL_ID = 7_000_000

_ID = (
    "(lpad(to_hex({ms}), 12, '0') || '7' || lpad(to_hex({n} % 4096), 3, '0') || '8'"
    " || lpad(to_hex({n}), 15, '0'))::uuid"
)
_EVENT_MS = "$1::bigint + n * $2::bigint / 1000"
_HOOK = "($3::uuid[])[(1 + {n} % array_length($3::uuid[], 1))::integer]"
_TYPE = f"""CASE WHEN n % {RARE_EVERY} = 0 THEN 'reg_f.declined'
    ELSE (ARRAY['call.created', 'call.ended', 'call.saved'])[(1 + n % {CALL_EVENTS})::integer] END"""

EVENTS = f"""
INSERT INTO events (id, shard, tenant_id, type, call_key, account_id, webhook_ids, payload)
SELECT {_ID.format(ms=_EVENT_MS, n="n")}, n % 64, 1, {_TYPE},
       CASE WHEN n % {RARE_EVERY} <> 0 THEN ({FIRST_CALL_ID} + n / {CALL_EVENTS})::text END,
       CASE WHEN n % {DENSE_EVERY} = 0 THEN '{DENSE_ACCOUNT}' ELSE lpad((n / 30)::text, 8, '0') END,
       ARRAY[{_HOOK.format(n="n")}, {_HOOK.format(n="(n + 1)")}, {_HOOK.format(n="(n + 2)")}],
       convert_to('{{"call_id":' || {FIRST_CALL_ID} + n / {CALL_EVENTS} || ',"phone":"5551230000"}}', 'UTF8')
FROM generate_series($4::bigint, $5::bigint) AS n
"""

ATTEMPTS = f"""
INSERT INTO attempts (id, event_id, webhook_id, tenant_id, event_type, number, test, ok, status, error, duration_us,
                      method, url, request_headers, response_headers, response_body, truncated)
SELECT {_ID.format(ms=f"{_EVENT_MS} + 2", n=f"(n * {PER_EVENT} + place)")},
       {_ID.format(ms=_EVENT_MS, n="n")}, webhook_id, 1, {_TYPE}, 1, false, NOT bad,
       CASE WHEN bad THEN 503 ELSE 200 END, CASE WHEN bad THEN 'http_status' END, 1500, 'POST',
       'https://crm.example.com/hooks', convert_to(E'content-type: application/json\\r\\n', 'UTF8'),
       convert_to(E'content-type: text/plain\\r\\n', 'UTF8'), convert_to('ok', 'UTF8'), false
FROM generate_series($4::bigint, $5::bigint) AS n, generate_series(0, {PER_EVENT - 1}) AS place,
     LATERAL (SELECT {_HOOK.format(n="(n + place)")} AS webhook_id) AS hook,
     LATERAL (SELECT webhook_id = ($3::uuid[])[1] OR (n + place) % {FAILED_EVERY} = 0 AS bad) AS outcome
"""

MINUTES = """
INSERT INTO minutes (span_s, webhook_id, tenant_id, at, accepted, ok, failed, lag, took)
SELECT span_s, webhook_id, 1, to_timestamp(at_s), 100, 95, 5,
       array_fill(10, ARRAY[19]), array_fill(10, ARRAY[19])
FROM (VALUES (60, 2880), (900, 864), (3600, 720)) AS span (span_s, spans), unnest($1::uuid[]) AS hook (webhook_id),
     LATERAL (SELECT floor(extract(epoch FROM now()) / span_s) * span_s - n * span_s AS at_s
              FROM generate_series(1, spans) AS n) AS begun
"""

CHUNK_EVENTS = 100_000


@dataclass(frozen=True, slots=True)
class FilledLog:
    """What to ask for: a call and an account from its middle. The first webhook always fails."""

    webhook_ids: Sequence[str]
    attempts: int
    call_id: str
    account_id: str


async def fill(dsn: str, webhook_ids: Sequence[str], attempts: int) -> FilledLog:
    """Fill an empty log of a migrated database. `webhook_ids` are of tenant 1."""
    begin = datetime.now(UTC) - timedelta(days=DAYS)
    session = Session(dsn, name="fill", timeout_s=60)
    for ago in range(DAYS + 1):
        await make_partitions(session, datetime.now(UTC).date() - timedelta(days=ago))
    await session.close()
    events = attempts // PER_EVENT
    step_us = int(timedelta(days=DAYS).total_seconds() * 1_000_000) // events
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute("SET synchronous_commit = off")
        for first in range(0, events, CHUNK_EVENTS):
            last = min(first + CHUNK_EVENTS, events) - 1
            values = (int(begin.timestamp() * 1000), step_us, list(webhook_ids), first, last)
            await connection.execute(EVENTS, *values)
            await connection.execute(ATTEMPTS, *values)
        await connection.execute(MINUTES, [*webhook_ids, "00000000-0000-0000-0000-000000000000"])
        for table in ("events", "attempts", "minutes"):
            await connection.execute(f"VACUUM ANALYZE {table}")
    finally:
        await connection.close()
    middle = events // 2
    call_id = str(FIRST_CALL_ID + middle // CALL_EVENTS)
    return FilledLog(webhook_ids, events * PER_EVENT, call_id, f"{middle // 30:08}")
