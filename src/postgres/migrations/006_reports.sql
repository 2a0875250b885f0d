-- Up Migration

-- What detectors and pipelines report to Retrigger itself, for models without source tables.
CREATE TABLE retraining_reported_checks (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model TEXT NOT NULL,
    feature TEXT NOT NULL,
    score FLOAT,
    threshold FLOAT,
    triggered BOOLEAN NOT NULL,
    samples BIGINT,
    checked_at TIMESTAMPTZ NOT NULL,
    run_id TEXT,
    source TEXT,
    received_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (model, run_id, feature)
);
CREATE INDEX retraining_reported_checks_time ON retraining_reported_checks (model, checked_at);

COMMENT ON COLUMN retraining_reported_checks.run_id IS 'The drift run''s own id: the same check of a run is recorded once, however often it is reported.';

CREATE TABLE retraining_reported_growth (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model TEXT NOT NULL,
    rows BIGINT NOT NULL CHECK (rows >= 0),
    batch TEXT,
    arrived_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    report_id TEXT,
    received_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (model, report_id)
);
CREATE INDEX retraining_reported_growth_time ON retraining_reported_growth (model, arrived_at);

COMMENT ON COLUMN retraining_reported_growth.report_id IS 'The report''s own id: the same report twice counts once.';

-- The sizes that a model's decisions saw some days ago.
CREATE INDEX retraining_decisions_taken ON retraining_decisions (model, taken_at);

-- The newest requests of a model, and of all models, without those that no trainer has received.
CREATE INDEX retraining_dispatches_requested ON retraining_dispatches (model_name, trainer, (COALESCE(asked_at, created_at)))
    WHERE state <> 'rejected' AND (state <> 'cancelled' OR asked_at IS NOT NULL);
CREATE INDEX retraining_dispatches_requested_by_all ON retraining_dispatches ((COALESCE(asked_at, created_at)))
    WHERE state <> 'rejected' AND (state <> 'cancelled' OR asked_at IS NOT NULL);
CREATE INDEX retraining_dispatches_succeeded ON retraining_dispatches (model_name, trainer, ended_at)
    WHERE state = 'succeeded';

-- Down Migration

DROP INDEX retraining_dispatches_succeeded;
DROP INDEX retraining_dispatches_requested_by_all;
DROP INDEX retraining_dispatches_requested;
DROP INDEX retraining_decisions_taken;
DROP TABLE retraining_reported_growth;
DROP TABLE retraining_reported_checks;
