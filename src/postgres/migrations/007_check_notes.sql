-- Up Migration

-- The detector's own figures, such as its p-value, where the score is computed from them.
ALTER TABLE retraining_reported_checks ADD COLUMN notes TEXT;

COMMENT ON COLUMN retraining_reported_checks.score IS 'Higher means more drift; NULL if the detector gave none.';

-- Down Migration

COMMENT ON COLUMN retraining_reported_checks.score IS NULL;
ALTER TABLE retraining_reported_checks DROP COLUMN notes;
