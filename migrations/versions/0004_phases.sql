-- How long each phase of an attempt took, by its name; NULL for attempts that were made before this was kept.
ALTER TABLE attempts ADD COLUMN phases_us jsonb;
