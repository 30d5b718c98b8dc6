"""The SQL of the pipeline: what is run per batch of events and attempts, and what recovery reads.

`$1` and `$2` of every fenced statement are the owner and the epoch. The shards are owned all together, so
one row stands for all of them in the fence.
"""

from gateway.log import EARLIER_MOST

FENCE_HOLDS = """
SELECT 1 FROM shards WHERE id = 0 AND owner = $1 AND epoch = $2
"""

# The intake's commit when no event of the batch has a key. Repeating it after an unknown outcome adds nothing.
APPEND = """
WITH written AS (
    INSERT INTO events (id, shard, tenant_id, type, call_key, account_id, webhook_ids, occurred_at, payload)
    SELECT id, shard, tenant_id, type, call_key, account_id, webhook_ids::uuid[], occurred_at, payload
    FROM unnest($3::uuid[], $4::smallint[], $5::integer[], $6::text[], $7::text[], $8::text[], $9::text[],
                $10::timestamptz[], $11::bytea[])
         AS new (id, shard, tenant_id, type, call_key, account_id, webhook_ids, occurred_at, payload)
    WHERE EXISTS (SELECT 1 FROM shards WHERE shards.id = 0 AND owner = $1 AND epoch = $2)
    ON CONFLICT (id) DO NOTHING
    RETURNING 1
)
SELECT count(*) AS written FROM written
"""

# The same where some have one. An event whose key is taken, before or within this batch, is not written.
APPEND_KEYED = """
WITH new AS (
    SELECT * FROM unnest($3::uuid[], $4::smallint[], $5::integer[], $6::text[], $7::text[], $8::text[], $9::text[],
                         $10::timestamptz[], $11::bytea[], $12::text[], $13::bytea[])
         AS new (id, shard, tenant_id, type, call_key, account_id, webhook_ids, occurred_at, payload, key, digest)
    WHERE EXISTS (SELECT 1 FROM shards WHERE shards.id = 0 AND owner = $1 AND epoch = $2)
), taken AS (
    INSERT INTO idempotency (tenant_id, key, digest, event_id, expires_at)
    SELECT tenant_id, key, digest, id, $14 FROM new WHERE key IS NOT NULL
    ON CONFLICT (tenant_id, key) DO NOTHING
    RETURNING event_id
)
INSERT INTO events (id, shard, tenant_id, type, call_key, account_id, webhook_ids, occurred_at, payload)
SELECT id, shard, tenant_id, type, call_key, account_id, webhook_ids::uuid[], occurred_at, payload
FROM new WHERE key IS NULL OR id IN (SELECT event_id FROM taken)
ON CONFLICT (id) DO NOTHING
RETURNING id
"""

# Which event used each of these keys first.
FIRST_USES = """
SELECT tenant_id, key, event_id, digest
FROM idempotency JOIN unnest($1::integer[], $2::text[]) AS asked (tenant_id, key) USING (tenant_id, key)
"""

EXISTING = """
SELECT id FROM events WHERE id = ANY($1::uuid[])
"""

# Ends a server process; answers no row once it is gone.
END_BACKEND = """
SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid = $1
"""

_ATTEMPT_COLUMNS = """id, event_id, webhook_id, tenant_id, event_type, number, test, ok, status, error, detail,
        duration_us, method, url, request_headers, body_key, response_headers, response_body, truncated,
        phases_us"""


_ATTEMPT_TYPES = (
    *("uuid", "uuid", "uuid", "integer", "text", "integer", "boolean", "boolean", "smallint", "text", "text"),
    *("bigint", "text", "text", "bytea", "text", "bytea", "bytea", "boolean", "jsonb"),
)


def _insert_attempts(first: int) -> str:
    arrays = ", ".join(f"${first + place}::{type}[]" for place, type in enumerate(_ATTEMPT_TYPES))
    return f"INSERT INTO attempts ({_ATTEMPT_COLUMNS}) SELECT * FROM unnest({arrays}) ON CONFLICT (id) DO NOTHING"


# Attempts that settled at once. They are facts whoever owns the shards, hence no fence.
RECORD = _insert_attempts(1)

# Attempts together with what they did to deliveries.
RECORD_AND_CHANGE = f"""
WITH fence AS (
    SELECT 1 FROM shards WHERE id = 0 AND owner = $1 AND epoch = $2
), logged AS (
    {_insert_attempts(3)}
), changed AS (
    INSERT INTO deliveries AS d (webhook_id, event_id, shard, call_key, state, attempts, tries, next_at, wait_until,
                                 replay_id)
    SELECT * FROM unnest($23::uuid[], $24::uuid[], $25::smallint[], $26::text[], $27::text[], $28::integer[],
                         $29::integer[], $30::timestamptz[], $31::timestamptz[], $32::uuid[])
    WHERE EXISTS (SELECT 1 FROM fence)
    ON CONFLICT (webhook_id, event_id) DO UPDATE
    SET state = excluded.state, attempts = greatest(d.attempts, excluded.attempts), tries = excluded.tries,
        next_at = excluded.next_at
), removed AS (
    DELETE FROM deliveries AS d
    USING unnest($33::uuid[], $34::uuid[]) AS gone (webhook_id, event_id)
    WHERE d.webhook_id = gone.webhook_id AND d.event_id = gone.event_id AND EXISTS (SELECT 1 FROM fence)
)
SELECT EXISTS (SELECT 1 FROM fence) AS held
"""

# Recovery: events above the watermark with the webhooks that have neither a success nor a row. An attempt
# begins after its event was accepted, so its id is above the watermark too. Everything is joined at once: asked event
# by event, a page of them looked through all that is settled of the page, a thousand times.
READ_UNSETTLED = """
WITH page AS (
    SELECT * FROM events WHERE id > $1 ORDER BY id LIMIT $2
), settled AS (
    SELECT event_id, webhook_id FROM attempts
    WHERE event_id IN (SELECT id FROM page) AND ok AND NOT test
    UNION
    SELECT event_id, webhook_id FROM deliveries WHERE event_id IN (SELECT id FROM page)
)
SELECT page.*, coalesce(open.webhook_ids, '{}') AS open_ids FROM page LEFT JOIN (
    SELECT id, array_agg(webhook_id) AS webhook_ids
    FROM (SELECT id, unnest(webhook_ids) AS webhook_id FROM page) AS matched
    WHERE NOT EXISTS (
        SELECT FROM settled WHERE settled.event_id = matched.id AND settled.webhook_id = matched.webhook_id
    )
    GROUP BY id
) AS open USING (id)
ORDER BY id
"""

# What is due: pages of scans ($1 to $5), each from a place on in the order in which rows came due, and the first few
# rows of calls ($7 and $8). With each the first unsettled ones before it of its call, so that the lane can judge
# whether it may go. A page is no longer than asked, whatever is in it: what waits behind others costs no round more
# than that.
LOAD_DUE = f"""
SELECT due.*, CASE WHEN due.call_key IS NOT NULL THEN ARRAY(
    SELECT e.event_id FROM deliveries AS e
    WHERE e.webhook_id = due.webhook_id AND e.call_key = due.call_key AND e.event_id < due.event_id
      AND e.state <> 'failed'
    ORDER BY e.event_id LIMIT {EARLIER_MOST}
) END AS earlier
FROM (
    SELECT scan.number, d.*
    FROM unnest($1::uuid[], $2::text[], $3::timestamptz[], $4::uuid[], $5::integer[])
         WITH ORDINALITY AS scan (webhook_id, state, after_at, after_id, rows, number)
    CROSS JOIN LATERAL (
        SELECT * FROM deliveries
        WHERE deliveries.webhook_id = scan.webhook_id AND deliveries.state = scan.state
          AND deliveries.state <> 'failed' AND deliveries.next_at <= $6
          AND (deliveries.next_at, deliveries.event_id) > (scan.after_at, scan.after_id)
        ORDER BY deliveries.next_at, deliveries.event_id LIMIT scan.rows
    ) AS d
    UNION ALL
    SELECT 0, d.*
    FROM unnest($7::uuid[], $8::text[]) AS asked (webhook_id, call_key)
    CROSS JOIN LATERAL (
        SELECT * FROM deliveries
        WHERE deliveries.webhook_id = asked.webhook_id AND deliveries.call_key = asked.call_key
          AND deliveries.state <> 'failed'
        ORDER BY deliveries.event_id LIMIT {EARLIER_MOST}
    ) AS d
    WHERE d.next_at <= $6
) AS due
ORDER BY due.number, due.next_at, due.event_id
"""

# `OFFSET 0` has each event looked up by itself: as a join the planner came to read a million events through for each
# load once it had counted them.
READ_EVENTS = """
SELECT events.* FROM unnest($1::uuid[]) AS asked (id)
CROSS JOIN LATERAL (
    SELECT id, tenant_id, type, call_key, account_id, webhook_ids, occurred_at, payload
    FROM events WHERE events.id = asked.id OFFSET 0
) AS events
"""

REMAINING = """
SELECT event_id, call_key FROM deliveries WHERE webhook_id = $1 AND state <> 'failed' LIMIT $2
"""

WITH_BACKLOG = """
SELECT webhook_id FROM unnest($1::uuid[]) AS asked (webhook_id)
WHERE EXISTS (SELECT 1 FROM deliveries WHERE deliveries.webhook_id = asked.webhook_id AND state <> 'failed')
"""

LAST_EVENT_ID = """
SELECT id FROM events ORDER BY id DESC LIMIT 1
"""
