-- The log (events, attempts), what is unsettled (deliveries), who owns it (shards), and configuration.

CREATE TABLE tenants (
    id          integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    name        text NOT NULL UNIQUE,
    created_at  timestamptz NOT NULL DEFAULT now()
);
INSERT INTO tenants (name) VALUES ('default');

-- One row per accepted event. Insert-only; partitioned by day on the id, which is a UUIDv7 and so a time.
CREATE TABLE events (
    id           uuid NOT NULL PRIMARY KEY,
    shard        smallint NOT NULL,
    tenant_id    integer NOT NULL,
    type         text NOT NULL,
    call_key     text,
    account_id   text,
    webhook_ids  uuid[] NOT NULL,       -- the webhooks that it matched when it was accepted
    occurred_at  timestamptz,
    payload      bytea NOT NULL         -- the switch's bytes, never re-encoded
) PARTITION BY RANGE (id);
CREATE INDEX events_by_call ON events (call_key, tenant_id) WHERE call_key IS NOT NULL;

-- One row per key that made a push idempotent.
CREATE TABLE idempotency (
    tenant_id   integer NOT NULL,
    key         text NOT NULL,
    digest      bytea NOT NULL,         -- SHA-256 of type and payload
    event_id    uuid NOT NULL,
    expires_at  timestamptz NOT NULL,
    PRIMARY KEY (tenant_id, key)
);
CREATE INDEX idempotency_by_expiry ON idempotency (expires_at);

-- One row per attempt. Insert-only; its start is the time in its id.
CREATE TABLE attempts (
    id                uuid NOT NULL PRIMARY KEY,
    event_id          uuid NOT NULL,
    webhook_id        uuid NOT NULL,
    tenant_id         integer NOT NULL,
    event_type        text NOT NULL,
    number            integer NOT NULL,
    test              boolean NOT NULL,
    ok                boolean NOT NULL,
    status            smallint,
    error             text,             -- model.ErrorKind, NULL where ok
    detail            text,
    duration_us       bigint NOT NULL,
    method            text NOT NULL,
    url               text NOT NULL,
    request_headers   bytea NOT NULL,   -- header lines as sent, secrets masked
    body_key          text,             -- member that carried the API key in the body; shown masked
    response_headers  bytea,
    response_body     bytea,            -- at most 16 KiB
    truncated         boolean NOT NULL
) PARTITION BY RANGE (id);
CREATE INDEX attempts_by_event ON attempts (event_id);
CREATE INDEX attempts_by_webhook ON attempts (webhook_id, id);

-- Only what is not settled: retries, what does not fit in memory, what is held, what has failed for good.
CREATE TABLE deliveries (
    webhook_id  uuid NOT NULL,
    event_id    uuid NOT NULL,
    shard       smallint NOT NULL,
    call_key    text,                   -- NULL where the webhook does not order, or the event has no call
    state       text NOT NULL CHECK (state IN ('queued', 'retrying', 'failed')),
    attempts    integer NOT NULL,       -- made so far, over all replays
    tries       integer NOT NULL,       -- made since queued or replayed: the place in the retry schedule
    next_at     timestamptz NOT NULL,
    wait_until  timestamptz,            -- from then on it no longer waits for earlier events of its call
    replay_id   uuid,
    PRIMARY KEY (webhook_id, event_id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0);
CREATE INDEX deliveries_due ON deliveries (webhook_id, next_at, event_id) WHERE state <> 'failed';
CREATE INDEX deliveries_by_call ON deliveries (webhook_id, call_key, event_id)
    WHERE call_key IS NOT NULL AND state <> 'failed';
CREATE INDEX deliveries_by_event ON deliveries (event_id);

-- Who delivers what. An epoch grows with every change of owner and fences the one before.
CREATE TABLE shards (
    id          smallint PRIMARY KEY,
    owner       text,
    epoch       bigint NOT NULL DEFAULT 0,
    expires_at  timestamptz NOT NULL DEFAULT '-infinity',
    watermark   uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000'
);
INSERT INTO shards (id) SELECT generate_series(0, 63);

CREATE TABLE accesses (
    id          uuid PRIMARY KEY,
    tenant_id   integer NOT NULL REFERENCES tenants,
    name        text NOT NULL,
    type        text NOT NULL,
    key_name    text NOT NULL,
    location    text NOT NULL,
    client_id   text NOT NULL DEFAULT '',
    secret      bytea NOT NULL,         -- encrypted: the client secret or the API key
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE (tenant_id, name)
);

CREATE TABLE webhooks (
    id                uuid PRIMARY KEY,
    tenant_id         integer NOT NULL REFERENCES tenants,
    name              text NOT NULL,
    events            text[] NOT NULL,
    method            text NOT NULL,
    url               text NOT NULL,
    access_id         uuid REFERENCES accesses,
    state             text NOT NULL,
    reason            text,
    timeout_s         double precision NOT NULL,
    max_in_flight     integer NOT NULL,
    rate_per_s        double precision,
    retry_schedule_s  double precision[],
    order_wait_s      double precision,
    secret            bytea NOT NULL,   -- encrypted: the signing secret
    old_secret        bytea,            -- encrypted: the one before, valid until old_secret_until
    old_secret_until  timestamptz,
    created_at        timestamptz NOT NULL DEFAULT now(),
    updated_at        timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX webhooks_by_access ON webhooks (access_id);

CREATE TABLE tokens (
    id          uuid PRIMARY KEY,
    name        text NOT NULL,
    role        text NOT NULL,
    tenant_id   integer REFERENCES tenants,     -- NULL: unbound
    prefix      text NOT NULL UNIQUE,
    digest      bytea NOT NULL,                 -- SHA-256 of the whole token
    created_at  timestamptz NOT NULL DEFAULT now(),
    expires_at  timestamptz
);

CREATE TABLE ports (
    id          uuid PRIMARY KEY,
    port        integer NOT NULL CHECK (port BETWEEN 1 AND 65535),
    host        text,
    tenant_id   integer REFERENCES tenants,
    state       text NOT NULL CHECK (state IN ('asked', 'open', 'denied')),
    created_at  timestamptz NOT NULL DEFAULT now(),
    updated_at  timestamptz NOT NULL DEFAULT now(),
    UNIQUE NULLS NOT DISTINCT (port, host, tenant_id)
);

-- What was refused with 422, for an operator to see, mend and resubmit.
CREATE TABLE rejected (
    id           uuid PRIMARY KEY,
    tenant_id    integer,               -- NULL where the push named no tenant that is known
    type         text,
    errors       jsonb NOT NULL,
    body         bytea NOT NULL
);

CREATE TABLE audit (
    id         uuid PRIMARY KEY,
    tenant_id  integer,
    actor      text NOT NULL,           -- the token's name and prefix
    action     text NOT NULL,           -- e.g. webhook.create
    resource   text NOT NULL,
    detail     jsonb NOT NULL
);

CREATE TABLE replays (
    id          uuid PRIMARY KEY,
    tenant_id   integer NOT NULL,
    webhook_id  uuid,                   -- NULL: every webhook that the event matched
    event_id    uuid,                   -- NULL: a range
    from_id     uuid,
    to_id       uuid,
    only_failed boolean NOT NULL,
    state       text NOT NULL CHECK (state IN ('running', 'done', 'cancelled')),
    total       bigint,
    done        bigint NOT NULL DEFAULT 0,
    cursor      uuid,
    created_at  timestamptz NOT NULL DEFAULT now()
);
CREATE INDEX deliveries_by_replay ON deliveries (replay_id) WHERE replay_id IS NOT NULL;
