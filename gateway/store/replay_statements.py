"""The SQL of replays: what puts rows into `deliveries` again, counts them, and withdraws them.

Invariant: nothing is put that is on its way already, and a delivery that is unsettled keeps its place in its schedule.
"""

from __future__ import annotations

# What is left of a replay is what of its rows is neither gone nor failed again. `done` in the table counts the
# rows that were put, so what is shown as done is what has been tried to its end, or was left alone.
_SHOWN = """
SELECT r.id::text, r.tenant_id, r.webhook_id::text, r.event_id::text, r.from_id::text, r.to_id::text, r.only_failed,
       r.period_of, r.event_type, r.ok, r.status_from, r.status_to, r.call_key, r.account_id,
       r.state, r.total, r.done AS put, r.skipped, r.created_at,
       (SELECT count(*) FROM deliveries AS d WHERE d.replay_id = r.id AND d.state <> 'failed') AS open
FROM replays AS r
"""

ONE = f"{_SHOWN} WHERE r.id = $1 AND ($2::integer IS NULL OR r.tenant_id = $2)"

PAGE = f"""
{_SHOWN} WHERE ($1::integer IS NULL OR r.tenant_id = $1) AND ($2::uuid IS NULL OR r.id < $2)
ORDER BY r.id DESC LIMIT $3
"""

PARTS = "SELECT replay_id::text, webhook_id::text FROM replay_parts ORDER BY replay_id, webhook_id"

FIND_EVENT = """
SELECT tenant_id, webhook_ids::text[] AS webhook_ids FROM events
WHERE id = $1 AND ($2::integer IS NULL OR tenant_id = $2)
"""

WEBHOOKS = "SELECT id::text FROM webhooks WHERE id = ANY($1::uuid[]) AND tenant_id = $2 ORDER BY id"

START_EVENT = """
INSERT INTO replays (id, tenant_id, webhook_id, event_id, only_failed, state, total)
VALUES ($1, $2, $3, $4, false, 'running', $5)
"""

START_RANGE = """
INSERT INTO replays (id, tenant_id, webhook_id, from_id, to_id, only_failed, period_of, event_type, ok, status_from,
                     status_to, call_key, account_id, state, total)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, 'running', $14)
"""

# Of the tenant's webhooks the one that is named, or all.
WEBHOOKS_OF_RANGE = """
SELECT id::text FROM webhooks WHERE tenant_id = $1 AND ($2::uuid IS NULL OR id = $2) ORDER BY id
"""

START_PARTS = "INSERT INTO replay_parts (replay_id, webhook_id) SELECT $1, unnest($2::uuid[])"

# Deliveries of some events to a webhook, to be made at once, as the first try of a new schedule. A retry is only made
# due: it keeps its place in its schedule, which a cancelled replay must not cost it. What is queued is on its way, and
# so is what its webhook matched and has neither a row nor a success: a lane holds it in memory. Up to the watermark
# nothing is only in memory. A row that is gone when it comes to be changed has succeeded meanwhile: it is not put anew.
PUT = """
WITH replayed AS MATERIALIZED (
    {replayed}
), known AS MATERIALIZED (
    SELECT e.id, e.shard, e.call_key, d.event_id IS NOT NULL AS stored,
           e.id > (SELECT watermark FROM shards ORDER BY watermark LIMIT 1) AND w.id = ANY (e.webhook_ids) AS owed,
           w.id AS webhook_id, w.order_wait_s
    FROM replayed
    JOIN events AS e ON e.id = replayed.event_id
    JOIN webhooks AS w ON w.id = {webhook}::uuid AND w.tenant_id = e.tenant_id
    LEFT JOIN deliveries AS d ON d.webhook_id = w.id AND d.event_id = e.id
), revived AS (
    UPDATE deliveries AS d
    SET state = CASE d.state WHEN 'failed' THEN 'queued' ELSE d.state END,
        tries = CASE d.state WHEN 'failed' THEN 0 ELSE d.tries END,
        wait_until = CASE d.state WHEN 'failed' THEN now() + make_interval(secs => known.order_wait_s)
                     ELSE d.wait_until END,
        replay_id = {replay}::uuid, next_at = now()
    FROM known
    WHERE known.stored AND d.webhook_id = known.webhook_id AND d.event_id = known.id AND d.state <> 'queued'
    RETURNING 1
), put AS (
    INSERT INTO deliveries (webhook_id, event_id, shard, call_key, state, attempts, tries, next_at, wait_until,
                            replay_id)
    SELECT known.webhook_id, known.id, known.shard,
           CASE WHEN known.order_wait_s IS NOT NULL THEN known.call_key END, 'queued', coalesce(made.attempts, 0), 0,
           now(), now() + make_interval(secs => known.order_wait_s), {replay}::uuid
    FROM known
    CROSS JOIN LATERAL (
        SELECT max(a.number) AS attempts, bool_or(a.ok) AS delivered FROM attempts AS a
        WHERE a.event_id = known.id AND a.webhook_id = known.webhook_id AND NOT a.test
    ) AS made
    WHERE NOT known.stored AND (made.delivered OR NOT known.owed)
    ON CONFLICT (webhook_id, event_id) DO NOTHING
    RETURNING 1
)
SELECT (SELECT count(*) FROM known) AS found, (SELECT count(*) FROM revived) + (SELECT count(*) FROM put) AS put
"""

PUT_EVENT = PUT.format(replayed="SELECT $1::uuid AS event_id", webhook="$2", replay="$3")

# What a replay has still to go through of one webhook. The locks have a cancellation wait for the step under way.
LOCK = """
SELECT r.*, p.cursor
FROM replays AS r JOIN replay_parts AS p ON p.replay_id = r.id
WHERE r.id = $1 AND p.webhook_id = $2 AND r.state = 'running' FOR UPDATE
"""

OPEN = "SELECT count(*) FROM deliveries WHERE replay_id = $1 AND webhook_id = $2 AND state <> 'failed'"

ADVANCE = "UPDATE replay_parts SET cursor = $3 WHERE replay_id = $1 AND webhook_id = $2"

NOTE = "UPDATE replays SET done = done + $2, skipped = skipped + $3 WHERE id = $1"

END_PART = "DELETE FROM replay_parts WHERE replay_id = $1 AND webhook_id = $2"

END_PARTS = "DELETE FROM replay_parts WHERE replay_id = $1"

FINISH = """
UPDATE replays SET state = 'done', total = done + skipped
WHERE id = $1 AND state = 'running' AND NOT EXISTS (SELECT 1 FROM replay_parts WHERE replay_id = $1)
"""

CANCEL = """
UPDATE replays SET state = 'cancelled'
WHERE id = $1 AND state <> 'cancelled' AND ($2::integer IS NULL OR tenant_id = $2)
"""

# What a cancelled replay has put and nobody has begun goes back to what it was: settled, never owed, or failed.
WITHDRAW_DELIVERED = """
DELETE FROM deliveries AS d WHERE d.replay_id = $1 AND d.state = 'queued' AND EXISTS (
    SELECT 1 FROM attempts AS a WHERE a.event_id = d.event_id AND a.webhook_id = d.webhook_id AND a.ok AND NOT a.test
)
RETURNING d.webhook_id::text
"""
WITHDRAW_UNOWED = """
DELETE FROM deliveries AS d USING events AS e
WHERE d.replay_id = $1 AND d.state = 'queued' AND d.attempts = 0
  AND e.id = d.event_id AND d.webhook_id <> ALL (e.webhook_ids)
RETURNING d.webhook_id::text
"""
WITHDRAW_FAILED = """
UPDATE deliveries AS d SET state = 'failed' WHERE d.replay_id = $1 AND d.state = 'queued' AND d.attempts > 0
RETURNING d.webhook_id::text
"""
WITHDRAW = (WITHDRAW_DELIVERED, WITHDRAW_UNOWED, WITHDRAW_FAILED)
