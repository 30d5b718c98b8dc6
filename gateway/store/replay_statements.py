"""The SQL of replays: what puts rows into `deliveries` again, counts them, and withdraws them.

Invariant: a delivery that is unsettled already keeps its state and its place in its schedule.
"""

# What is left of a replay is what of its rows is neither gone nor failed again. `done` in the table counts the
# rows that were put, so what is shown as done is what has been tried to its end.
_SHOWN = """
SELECT r.id::text, r.tenant_id, r.webhook_id::text, r.event_id::text, r.only_failed, r.state, r.total,
       r.done AS put, r.created_at,
       (SELECT count(*) FROM deliveries AS d WHERE d.replay_id = r.id AND d.state <> 'failed') AS open
FROM replays AS r
"""

ONE = f"{_SHOWN} WHERE r.id = $1 AND ($2::integer IS NULL OR r.tenant_id = $2)"

PAGE = f"""
{_SHOWN} WHERE ($1::integer IS NULL OR r.tenant_id = $1) AND ($2::uuid IS NULL OR r.id < $2)
ORDER BY r.id DESC LIMIT $3
"""

RUNNING = "SELECT id::text FROM replays WHERE state = 'running' ORDER BY id"

FIND_EVENT = """
SELECT tenant_id, webhook_ids::text[] AS webhook_ids FROM events
WHERE id = $1 AND ($2::integer IS NULL OR tenant_id = $2)
"""

WEBHOOKS = "SELECT id::text FROM webhooks WHERE id = ANY($1::uuid[]) AND tenant_id = $2 ORDER BY id"

START = """
INSERT INTO replays (id, tenant_id, webhook_id, event_id, from_id, to_id, only_failed, state, total)
VALUES ($1, $2, $3, $4, $5, $6, $7, 'running', $8)
"""

# Deliveries of some events to some webhooks, to be made at once, as the first try of a new schedule. One that is
# unsettled already is only made due: it keeps its place in its schedule, which a cancelled replay must not cost it.
_PUT = """
INSERT INTO deliveries AS d (webhook_id, event_id, shard, call_key, state, attempts, tries, next_at, wait_until,
                             replay_id)
SELECT w.id, e.id, e.shard, CASE WHEN w.order_wait_s IS NOT NULL THEN e.call_key END, 'queued',
       coalesce((SELECT max(a.number) FROM attempts AS a
                 WHERE a.event_id = e.id AND a.webhook_id = w.id AND NOT a.test), 0),
       0, now(), now() + make_interval(secs => w.order_wait_s), r.id
FROM replays AS r, events AS e, webhooks AS w
WHERE {which}
ON CONFLICT (webhook_id, event_id) DO UPDATE
SET state = CASE d.state WHEN 'failed' THEN 'queued' ELSE d.state END,
    tries = CASE d.state WHEN 'failed' THEN 0 ELSE d.tries END,
    wait_until = CASE d.state WHEN 'failed' THEN excluded.wait_until ELSE d.wait_until END,
    replay_id = CASE d.state WHEN 'queued' THEN d.replay_id ELSE excluded.replay_id END,
    next_at = excluded.next_at
"""

PUT_EVENT = _PUT.format(which="r.id = $1 AND e.id = r.event_id AND w.id = ANY($2::uuid[])")
PUT_CHUNK = _PUT.format(which="r.id = $1 AND e.id = ANY($2::uuid[]) AND w.id = r.webhook_id")

# The events of a range replay above its cursor: those that failed at the webhook, or all that it matched when
# they were accepted or would match now.
_MATCHING = """
FROM events AS e JOIN webhooks AS w ON w.id = $1 AND w.tenant_id = e.tenant_id
WHERE e.id >= $2 AND e.id < $3 AND (w.id = ANY(e.webhook_ids) OR e.type = ANY(w.events))
"""
_FAILED = """
FROM deliveries AS e WHERE e.webhook_id = $1 AND e.event_id >= $2 AND e.event_id < $3 AND e.state = 'failed'
"""
COUNT_ALL = f"SELECT count(*) {_MATCHING}"
COUNT_FAILED = f"SELECT count(*) {_FAILED}"
CHUNK_ALL = f"SELECT e.id {_MATCHING} AND e.id > $4 ORDER BY e.id LIMIT $5"
CHUNK_FAILED = f"SELECT e.event_id AS id {_FAILED} AND e.event_id > $4 ORDER BY e.event_id LIMIT $5"

LOCK = """
SELECT webhook_id::text, from_id, to_id, only_failed, cursor FROM replays
WHERE id = $1 AND state = 'running' FOR UPDATE
"""

OPEN = "SELECT count(*) FROM deliveries WHERE replay_id = $1 AND state <> 'failed'"

ADVANCE = "UPDATE replays SET cursor = $2, done = done + $3 WHERE id = $1"

FINISH = "UPDATE replays SET state = 'done', done = done + $2, total = done + $2 WHERE id = $1"

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
