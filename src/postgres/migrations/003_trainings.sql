-- Up Migration

ALTER TABLE retraining_dispatches
    ADD COLUMN status TEXT,
    ADD COLUMN conclusion TEXT,
    ADD COLUMN run_attempt INTEGER,
    ADD COLUMN started_at TIMESTAMPTZ,
    ADD COLUMN ended_at TIMESTAMPTZ,
    ADD COLUMN duration_seconds FLOAT,
    ADD COLUMN heard_at TIMESTAMPTZ,
    ADD COLUMN status_url TEXT,
    ADD COLUMN extra_runs TEXT[] NOT NULL DEFAULT '{}';

COMMENT ON COLUMN retraining_dispatches.status IS 'The trainer''s own word, such as queued, in_progress or completed; kept as it came.';
COMMENT ON COLUMN retraining_dispatches.conclusion IS 'The trainer''s own word, such as success or failure; lost where nothing was heard any more.';
COMMENT ON COLUMN retraining_dispatches.ended_at IS 'When the end was noticed, on this server''s clock.';
COMMENT ON COLUMN retraining_dispatches.duration_seconds IS 'How long the training took, by the trainer''s clock.';
COMMENT ON COLUMN retraining_dispatches.heard_at IS 'The last sign of life that was written down.';
COMMENT ON COLUMN retraining_dispatches.extra_runs IS 'Further runs that the trainer started for the one request.';

-- What is under way: few rows, whatever the table holds.
CREATE INDEX retraining_dispatches_open ON retraining_dispatches (decision_id)
    WHERE trainer <> 'mock' AND state IN ('pending', 'sent', 'unknown', 'running');

-- Down Migration

DROP INDEX retraining_dispatches_open;
ALTER TABLE retraining_dispatches
    DROP COLUMN status, DROP COLUMN conclusion, DROP COLUMN run_attempt, DROP COLUMN started_at, DROP COLUMN ended_at,
    DROP COLUMN duration_seconds, DROP COLUMN heard_at, DROP COLUMN status_url, DROP COLUMN extra_runs;
