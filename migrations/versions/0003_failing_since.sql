-- Since when no attempt has succeeded; NULL while it works, or has been failing for some minutes at most. It is a
-- matter of delivery and not of configuration: written alone, neither audited nor an update of the webhook.
ALTER TABLE webhooks ADD COLUMN failing_since timestamptz;
