-- Up Migration

ALTER TABLE retraining_decisions
    ADD COLUMN evaluator INTEGER,
    ADD COLUMN shadow JSONB,
    ADD COLUMN content_sha256 BYTEA,
    ADD COLUMN previous_sha256 BYTEA,
    ADD COLUMN sha256 BYTEA;

COMMENT ON COLUMN retraining_decisions.evaluator IS 'The version of the evaluator that reached the verdict; NULL from before versions were recorded.';
COMMENT ON COLUMN retraining_decisions.shadow IS 'What the shadow policy would have decided on the same evidence; NULL if the model has none.';
COMMENT ON COLUMN retraining_decisions.content_sha256 IS 'SHA-256 of the canonical JSON (RFC 8785) of what was recorded; NULL: written by the DAG or by a version that computed none.';
COMMENT ON COLUMN retraining_decisions.previous_sha256 IS 'The hash of the model''s previous chained decision; NULL: it is the first.';
COMMENT ON COLUMN retraining_decisions.sha256 IS 'SHA-256 over content_sha256, previous_sha256, id and decision_date, as retrigger_chain_decision writes them.';

-- A chain has no branches: of two decisions that would continue the same one, the second finds its place taken.
CREATE UNIQUE INDEX retraining_decisions_chained ON retraining_decisions (model, COALESCE(previous_sha256, '')) WHERE sha256 IS NOT NULL;

-- The newest chained decision of a model, however many rows from before hashes it has.
CREATE INDEX retraining_decisions_heads ON retraining_decisions (model, id DESC) WHERE sha256 IS NOT NULL;

-- What shadow policies said about a model.
CREATE INDEX retraining_decisions_shadowed ON retraining_decisions (model, taken_at) WHERE shadow IS NOT NULL;

-- The id and the date of a decision are known only here, and its place in the chain too. A row without a hash of its content has no
-- place: it was restored from before hashes, or comes from a worker of the version before. A restored row keeps the hashes that it
-- comes with. A restore may run without a search path.
CREATE OR REPLACE FUNCTION retrigger_chain_decision() RETURNS trigger LANGUAGE plpgsql SET search_path FROM CURRENT AS $$
DECLARE
    -- A date without a zone stays as it is; one with a zone is in UTC.
    date_text CONSTANT TEXT := CASE WHEN pg_catalog.pg_typeof(NEW.decision_date) = 'timestamptz'::regtype
        THEN pg_catalog.to_json(NEW.decision_date::timestamptz AT TIME ZONE 'UTC')::text
        ELSE pg_catalog.to_json(NEW.decision_date::timestamp)::text END;
BEGIN
    NEW.previous_sha256 := COALESCE(
        (SELECT sha256 FROM retraining_decisions
         WHERE model = NEW.model AND id < NEW.id AND sha256 IS NOT NULL ORDER BY id DESC LIMIT 1),
        (SELECT sha256 FROM retraining_pruned WHERE model = NEW.model));
    -- JSON in its canonical form. Every function is named with its schema: others may have rights in ours.
    NEW.sha256 := pg_catalog.sha256(pg_catalog.convert_to(
        '{"contentSha256":"' || pg_catalog.encode(NEW.content_sha256, 'hex') || '","decisionDate":' || COALESCE(date_text, 'null')
        || ',"id":' || NEW.id::text
        || ',"previousSha256":' || COALESCE('"' || pg_catalog.encode(NEW.previous_sha256, 'hex') || '"', 'null') || '}', 'UTF8'));
    RETURN NEW;
END $$;
CREATE TRIGGER retraining_decisions_chained BEFORE INSERT ON retraining_decisions
    FOR EACH ROW WHEN (NEW.content_sha256 IS NOT NULL AND NEW.sha256 IS NULL) EXECUTE FUNCTION retrigger_chain_decision();

-- What trainings brought.
CREATE TABLE retraining_outcomes (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    model TEXT NOT NULL,
    decision_id INTEGER NOT NULL REFERENCES retraining_decisions (id) ON DELETE CASCADE,
    metric TEXT NOT NULL,
    before FLOAT,
    after FLOAT,
    is_higher_better BOOLEAN,
    promoted BOOLEAN,
    source TEXT NOT NULL,
    reported_by TEXT NOT NULL,
    reported_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    UNIQUE (decision_id, metric)
);
COMMENT ON COLUMN retraining_outcomes.decision_id IS 'The decision that requested the training.';
COMMENT ON COLUMN retraining_outcomes.promoted IS 'Whether the trained model took the place of the one before; NULL if unknown.';
COMMENT ON COLUMN retraining_outcomes.source IS 'How it was reported: command, api, mlflow, view.';
CREATE INDEX retraining_outcomes_model ON retraining_outcomes (model, decision_id DESC);
-- Open pages look for what is new.
CREATE INDEX retraining_outcomes_reported ON retraining_outcomes (reported_at);

-- What MLflow's registry said about the versions of models. Its events come in any order.
CREATE TABLE retraining_model_versions (
    registered_model TEXT NOT NULL,
    version TEXT NOT NULL,
    decision_id INTEGER REFERENCES retraining_decisions (id) ON DELETE CASCADE,
    is_assumed BOOLEAN NOT NULL DEFAULT false,
    is_promoted BOOLEAN NOT NULL DEFAULT false,
    tags JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    PRIMARY KEY (registered_model, version)
);
COMMENT ON COLUMN retraining_model_versions.decision_id IS 'The decision whose training made the version; NULL if unknown.';
COMMENT ON COLUMN retraining_model_versions.is_assumed IS 'Whether no tag names the training: it was the only one that could have made the version.';
CREATE INDEX retraining_model_versions_decision ON retraining_model_versions (decision_id);

-- What is left of decisions that were pruned: where the chain goes on, and what guards still need.
CREATE TABLE retraining_pruned (
    model TEXT PRIMARY KEY,
    decision_id INTEGER NOT NULL,
    sha256 BYTEA,
    decisions BIGINT NOT NULL,
    first_decision_at TIMESTAMPTZ,
    pruned_at TIMESTAMPTZ NOT NULL DEFAULT now()
);
COMMENT ON COLUMN retraining_pruned.decision_id IS 'The newest decision that was removed; every older one of the model was removed too.';
COMMENT ON COLUMN retraining_pruned.sha256 IS 'The hash of the newest chained decision that was removed.';
COMMENT ON COLUMN retraining_pruned.first_decision_at IS 'When the model was first decided about.';

-- Down Migration

DROP TABLE retraining_pruned;
DROP TABLE retraining_model_versions;
DROP TABLE retraining_outcomes;
DROP TRIGGER retraining_decisions_chained ON retraining_decisions;
DROP FUNCTION retrigger_chain_decision();
DROP INDEX retraining_decisions_heads;
DROP INDEX retraining_decisions_chained;
DROP INDEX retraining_decisions_shadowed;
ALTER TABLE retraining_decisions
    DROP COLUMN evaluator, DROP COLUMN shadow, DROP COLUMN content_sha256, DROP COLUMN previous_sha256, DROP COLUMN sha256;
