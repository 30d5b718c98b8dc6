"""A backlog as a gateway leaves it that has spilled, written straight into its tables: a million pushes take long."""

from __future__ import annotations

# $1 is the webhook, $2 how many: the three events of each call, all due now.
STORE_BACKLOG = """
WITH made AS (
    SELECT uuidv7() AS id, (1000000000 + n / 3)::text AS call_key, n FROM generate_series(0, $2::integer - 1) AS n
), stored AS (
    INSERT INTO events (id, shard, tenant_id, type, call_key, webhook_ids, payload)
    SELECT id, 0, 1, (ARRAY['call.created', 'call.ended', 'call.saved'])[n % 3 + 1], call_key, ARRAY[$1::uuid],
           convert_to('{"call_id":' || call_key || '}', 'UTF8')
    FROM made
)
INSERT INTO deliveries (webhook_id, event_id, shard, call_key, state, attempts, tries, next_at, wait_until)
SELECT $1, id, 0, call_key, 'queued', 0, 0, now(), now() + interval '1 day' FROM made
"""
