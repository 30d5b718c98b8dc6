-- A page of one state's due rows is one stretch of this index, from wherever the last page ended.
DROP INDEX deliveries_due;
CREATE INDEX deliveries_due ON deliveries (webhook_id, state, next_at, event_id) WHERE state <> 'failed';
