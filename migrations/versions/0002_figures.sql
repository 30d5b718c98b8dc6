-- What pages show without reading the log: counts by minute, and indexes for the log's rarer questions.

-- Attempts and accepted events counted over spans of a minute, a quarter of an hour and an hour. A row whose
-- webhook is the zero id is the tenant's total. Rows only grow while their span lasts; old ones are trimmed.
CREATE TABLE minutes (
    span_s      integer NOT NULL,
    webhook_id  uuid NOT NULL,
    tenant_id   integer NOT NULL,
    at          timestamptz NOT NULL,   -- when the span began
    accepted    bigint NOT NULL,        -- events; only in totals
    ok          bigint NOT NULL,
    failed      bigint NOT NULL,
    lag         integer[] NOT NULL,     -- first attempts by how long after the push they began: telemetry/rollup.py
    took        integer[] NOT NULL,     -- attempts by how long they took
    PRIMARY KEY (span_s, webhook_id, tenant_id, at)
) WITH (fillfactor = 80, autovacuum_vacuum_scale_factor = 0.05);

-- Failures are few where all is well, and what people look for. Successes cost these indexes nothing.
CREATE INDEX attempts_failed ON attempts (id) WHERE NOT ok;
CREATE INDEX attempts_failed_by_webhook ON attempts (webhook_id, id) WHERE NOT ok;

-- Calls are the bulk of all events; what is not about a call is rare, and would be looked for among them.
CREATE INDEX attempts_of_no_call ON attempts (event_type, id)
    WHERE event_type <> 'call.created' AND event_type <> 'call.ended' AND event_type <> 'call.saved';

-- An account's attempts are found through its events.
CREATE INDEX events_by_account ON events (account_id, id) WHERE account_id IS NOT NULL;
