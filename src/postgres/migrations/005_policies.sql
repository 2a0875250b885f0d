-- Up Migration

ALTER TABLE retraining_decisions
    ADD COLUMN explanation JSONB,
    ADD COLUMN forced JSONB;

COMMENT ON COLUMN retraining_decisions.explanation IS 'What would turn the decision, and what did not count.';
COMMENT ON COLUMN retraining_decisions.forced IS 'Who forced the decision past its guards, and why; NULL for any other.';

CREATE TABLE retraining_snoozes (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model TEXT NOT NULL,
    until TIMESTAMPTZ NOT NULL,
    reason TEXT NOT NULL,
    snoozed_by TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    ended_at TIMESTAMPTZ,
    ended_by TEXT
);
COMMENT ON COLUMN retraining_snoozes.ended_at IS 'When it was ended early or replaced; NULL: it holds until its end.';
CREATE INDEX retraining_snoozes_active ON retraining_snoozes (model, until) WHERE ended_at IS NULL;

CREATE TABLE retraining_approvals (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model TEXT NOT NULL,
    decision_id INTEGER NOT NULL UNIQUE REFERENCES retraining_decisions (id) ON DELETE CASCADE,
    state TEXT NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'approved', 'rejected', 'used', 'void')),
    requested_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    expires_at TIMESTAMPTZ NOT NULL,
    answered_at TIMESTAMPTZ,
    answered_by TEXT,
    reason TEXT,
    settled_by INTEGER
);
COMMENT ON COLUMN retraining_approvals.decision_id IS 'The decision that requested it.';
COMMENT ON COLUMN retraining_approvals.settled_by IS 'The decision that used it, or that no longer needed it.';
CREATE INDEX retraining_approvals_latest ON retraining_approvals (model, id DESC);

CREATE TABLE retraining_overrides (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model TEXT NOT NULL,
    forced_by TEXT NOT NULL,
    reason TEXT NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    decision_id INTEGER
);
COMMENT ON COLUMN retraining_overrides.decision_id IS 'The decision that was forced; NULL until it is made.';
CREATE INDEX retraining_overrides_open ON retraining_overrides (model, id DESC) WHERE decision_id IS NULL;

-- The newest event of a model, for those that expect drift runs at intervals.
CREATE INDEX retraining_events_newest ON retraining_events (model, received_at);

-- Down Migration

DROP INDEX retraining_events_newest;
DROP TABLE retraining_overrides;
DROP TABLE retraining_approvals;
DROP TABLE retraining_snoozes;
ALTER TABLE retraining_decisions DROP COLUMN explanation, DROP COLUMN forced;
