"""The statements of the configuration: everything at once out, one row in or away."""

from __future__ import annotations

TENANTS = "SELECT id, name, rate_per_s FROM tenants ORDER BY id"

ACCESSES = "SELECT id::text, tenant_id, name, type, key_name, location, client_id, secret FROM accesses ORDER BY id"

WEBHOOKS = """
SELECT id::text, tenant_id, name, events, method, url, access_id::text, state, reason, timeout_s, max_in_flight,
       rate_per_s, retry_schedule_s, order_wait_s, secret, old_secret, old_secret_until
FROM webhooks ORDER BY id
"""

TOKENS = "SELECT id::text, name, role, tenant_id, prefix, digest, created_at, expires_at FROM tokens ORDER BY id"

PORTS = "SELECT id::text, port, host, tenant_id, state FROM ports ORDER BY id"

# A tenant that another process has just added keeps its id: naming one twice is no conflict.
ADD_TENANT = """
INSERT INTO tenants (name) VALUES ($1) ON CONFLICT (name) DO UPDATE SET name = excluded.name RETURNING id, rate_per_s
"""

LIMIT_TENANT = "UPDATE tenants SET rate_per_s = $2 WHERE id = $1"

# New or changed: the row becomes what is given. The tenant and the type of an access never change.
SAVE_ACCESS = """
INSERT INTO accesses (id, tenant_id, name, type, key_name, location, client_id, secret)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
ON CONFLICT (id) DO UPDATE SET name = $3, key_name = $5, location = $6, client_id = $7, secret = $8, updated_at = now()
"""

# New or changed: the row becomes what is given. The tenant of a webhook never changes.
SAVE_WEBHOOK = """
INSERT INTO webhooks (id, tenant_id, name, events, method, url, access_id, state, reason, timeout_s, max_in_flight,
                      rate_per_s, retry_schedule_s, order_wait_s, secret, old_secret, old_secret_until)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17)
ON CONFLICT (id) DO UPDATE SET
    name = $3, events = $4, method = $5, url = $6, access_id = $7, state = $8, reason = $9, timeout_s = $10,
    max_in_flight = $11, rate_per_s = $12, retry_schedule_s = $13, order_wait_s = $14, secret = $15,
    old_secret = $16, old_secret_until = $17, updated_at = now()
"""

FAILING_SINCE = "SELECT id::text, failing_since FROM webhooks WHERE failing_since IS NOT NULL"

SAVE_FAILING_SINCE = "UPDATE webhooks SET failing_since = $2 WHERE id = $1"

ADD_TOKEN = """
INSERT INTO tokens (id, name, role, tenant_id, prefix, digest, created_at, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8)
"""  # noqa: S105 (a statement, no password)

# New, or decided anew.
SAVE_PORT = """
INSERT INTO ports (id, port, host, tenant_id, state) VALUES ($1, $2, $3, $4, $5)
ON CONFLICT (id) DO UPDATE SET state = $5, updated_at = now()
"""

REMOVE_ACCESS = "DELETE FROM accesses WHERE id = $1"
REMOVE_WEBHOOK = "DELETE FROM webhooks WHERE id = $1"
REMOVE_TOKEN = "DELETE FROM tokens WHERE id = $1"  # noqa: S105 (a statement, no password)
REMOVE_PORT = "DELETE FROM ports WHERE id = $1"

# The webhooks that deliveries are still stored for and that are no more. One step of the index for each webhook
# (a recursive "skip scan"), because there may be millions of deliveries and a handful of webhooks.
ORPHANS = """
WITH RECURSIVE owed AS (
    (SELECT webhook_id FROM deliveries ORDER BY webhook_id LIMIT 1)
    UNION ALL
    SELECT (SELECT d.webhook_id FROM deliveries AS d WHERE d.webhook_id > owed.webhook_id ORDER BY 1 LIMIT 1)
    FROM owed WHERE owed.webhook_id IS NOT NULL
)
SELECT webhook_id::text FROM owed
WHERE webhook_id IS NOT NULL AND NOT EXISTS (SELECT FROM webhooks AS w WHERE w.id = owed.webhook_id)
"""

# In batches: one statement for all of them would be a long transaction, and hold up the clearing of dead rows.
FORGET_DELIVERIES = """
DELETE FROM deliveries WHERE webhook_id = $1 AND event_id IN (
    SELECT event_id FROM deliveries WHERE webhook_id = $1 ORDER BY event_id LIMIT $2
)
"""
