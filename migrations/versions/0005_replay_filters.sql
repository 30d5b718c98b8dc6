-- A replay follows the log's filter, and goes through each webhook's rows by itself.

ALTER TABLE replays
    ADD COLUMN period_of   text NOT NULL DEFAULT 'events' CHECK (period_of IN ('events', 'attempts')),
    ADD COLUMN event_type  text,
    ADD COLUMN ok          boolean,
    ADD COLUMN status_from integer,
    ADD COLUMN status_to   integer,
    ADD COLUMN call_key    text,
    ADD COLUMN account_id  text,
    ADD COLUMN skipped     bigint NOT NULL DEFAULT 0;  -- deliveries that were on their way anyway

-- What a replay still has to go through, of each of its webhooks; the last one to be removed ends it. A webhook of
-- its own each, so that one that is behind does not hold the others up.
CREATE TABLE replay_parts (
    replay_id   uuid NOT NULL REFERENCES replays,
    webhook_id  uuid NOT NULL,
    cursor      uuid NOT NULL DEFAULT '00000000-0000-0000-0000-000000000000',
    PRIMARY KEY (replay_id, webhook_id)
);
INSERT INTO replay_parts (replay_id, webhook_id, cursor)
SELECT id, webhook_id, coalesce(cursor, '00000000-0000-0000-0000-000000000000')
FROM replays WHERE state = 'running' AND webhook_id IS NOT NULL;
ALTER TABLE replays DROP COLUMN cursor;

DROP INDEX deliveries_by_replay;
CREATE INDEX deliveries_by_replay ON deliveries (replay_id, webhook_id) WHERE replay_id IS NOT NULL;
