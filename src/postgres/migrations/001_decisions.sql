-- Up Migration

-- The Airflow DAG's own table, word for word: where it exists already, its rows stay.
CREATE TABLE IF NOT EXISTS retraining_decisions (
    id SERIAL PRIMARY KEY,
    decision_date TIMESTAMP DEFAULT CURRENT_TIMESTAMP,
    decision VARCHAR(20),
    reason TEXT,
    buffer_size INTEGER,
    drift_score FLOAT,
    notes TEXT
);

ALTER TABLE retraining_decisions
    ALTER COLUMN buffer_size TYPE BIGINT,
    ADD COLUMN run_id UUID UNIQUE,
    ADD COLUMN model TEXT NOT NULL DEFAULT 'default',
    ADD COLUMN cause TEXT,
    ADD COLUMN trainer TEXT,
    ADD COLUMN evidence JSONB,
    ADD COLUMN criteria JSONB,
    ADD COLUMN policy JSONB,
    ADD COLUMN policy_hash TEXT,
    ADD COLUMN alert_ids TEXT[],
    ADD COLUMN previous_id INTEGER;

COMMENT ON COLUMN retraining_decisions.run_id IS 'The run that decided; one run decides at most once. NULL: a row of the Airflow DAG.';
COMMENT ON COLUMN retraining_decisions.alert_ids IS 'Triggered alerts that the decision saw; a trigger answers them.';
COMMENT ON COLUMN retraining_decisions.previous_id IS 'The last decision that the evidence saw: what compare-and-set compares.';

-- Compare-and-set: of two decisions that saw the same last decision, the second one finds its place taken.
CREATE UNIQUE INDEX retraining_decisions_chain ON retraining_decisions (model, COALESCE(previous_id, 0)) WHERE run_id IS NOT NULL;
CREATE INDEX retraining_decisions_latest ON retraining_decisions (model, id DESC);
CREATE INDEX retraining_decisions_triggers ON retraining_decisions (model, trainer, id) WHERE decision IN ('trigger', 'trigger_mock');

CREATE TABLE retraining_dispatches (
    id INTEGER GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    decision_id INTEGER NOT NULL UNIQUE REFERENCES retraining_decisions (id) ON DELETE CASCADE,
    trainer TEXT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'sent', 'unknown', 'rejected', 'running', 'succeeded', 'failed', 'cancelled')),
    -- JSON, not JSONB: shown in the order in which it is sent.
    request JSON NOT NULL,
    external_id TEXT,
    url TEXT,
    error TEXT,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT now()
);

CREATE TABLE retraining_events (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model TEXT NOT NULL,
    event_run_id TEXT NOT NULL,
    job_key TEXT NOT NULL,
    status TEXT,
    source TEXT,
    completed_at TIMESTAMPTZ,
    -- JSON, not JSONB: unknown fields are kept as they came, and JSONB refuses some valid strings.
    payload JSON NOT NULL,
    outcome TEXT NOT NULL CHECK (outcome IN ('started', 'folded', 'drift_run_failed')),
    run_id UUID,
    received_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (model, event_run_id)
);
CREATE INDEX retraining_events_run ON retraining_events (run_id);

COMMENT ON COLUMN retraining_events.event_run_id IS 'The drift run''s own id, from the event.';
COMMENT ON COLUMN retraining_events.run_id IS 'The run whose snapshot is younger than the event.';
COMMENT ON COLUMN retraining_events.job_key IS 'The inbox job that brought the event; another job with the same event is a duplicate.';

-- Down Migration

-- The decisions are an audit log: taking them back is a person's decision, not a migration's.
DROP TABLE retraining_events;
DROP TABLE retraining_dispatches;
