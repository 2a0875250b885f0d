-- Up Migration

ALTER TABLE retraining_decisions ADD COLUMN drift_ratio FLOAT;

COMMENT ON COLUMN retraining_decisions.drift_ratio IS 'The largest score / threshold of the newest drift run that the decision saw; NULL without such figures.';

-- What the pages filter and sort by, however many decisions there are.
CREATE INDEX retraining_decisions_date ON retraining_decisions (decision_date);
CREATE INDEX retraining_decisions_cause ON retraining_decisions (cause, id);
CREATE INDEX retraining_decisions_triggered ON retraining_decisions (id) WHERE decision IN ('trigger', 'trigger_mock');
CREATE INDEX retraining_dispatches_newest ON retraining_dispatches (model_name, decision_id DESC);

-- Each reason of each decision, in the order in which the pages list them. An inverted index on reason_codes has no order: the
-- planner would often rather search the whole table backwards for a code that hardly any decision has.
DROP TABLE IF EXISTS retraining_decision_reasons;
CREATE TABLE retraining_decision_reasons (
    code TEXT NOT NULL,
    decision_id INTEGER NOT NULL,
    PRIMARY KEY (code, decision_id)
);
-- A row of the Airflow DAG has no codes, but its reason may be one.
INSERT INTO retraining_decision_reasons
SELECT DISTINCT code, id FROM retraining_decisions, unnest(COALESCE(reason_codes, ARRAY[reason])) AS code WHERE length(code) <= 100;

-- Written by the database itself, so that the rows of the DAG and of an older version are listed too. With the rights of its
-- owner: whoever may write decisions may have their reasons listed.
CREATE OR REPLACE FUNCTION retrigger_list_reasons() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER AS $$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        TRUNCATE retraining_decision_reasons;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM retraining_decision_reasons
        WHERE decision_id = OLD.id AND code = ANY(COALESCE(OLD.reason_codes, ARRAY[OLD.reason]));
    ELSE
        INSERT INTO retraining_decision_reasons
        SELECT code, NEW.id FROM unnest(COALESCE(NEW.reason_codes, ARRAY[NEW.reason])) AS code WHERE length(code) <= 100
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER retraining_decisions_listed AFTER INSERT OR DELETE ON retraining_decisions
    FOR EACH ROW EXECUTE FUNCTION retrigger_list_reasons();
CREATE TRIGGER retraining_decisions_emptied AFTER TRUNCATE ON retraining_decisions
    FOR EACH STATEMENT EXECUTE FUNCTION retrigger_list_reasons();

-- The requests for an approval that a person may still answer: few, however many have expired.
CREATE INDEX retraining_approvals_settled ON retraining_approvals (settled_by) WHERE settled_by IS NOT NULL;
CREATE INDEX retraining_approvals_open ON retraining_approvals (expires_at) WHERE state = 'open';

-- Who did what about one decision or model.
CREATE INDEX retrigger_audit_target ON retrigger_audit (target);

-- What a dispatch went through, written by the database itself, so that it takes no round trip.
DROP TABLE IF EXISTS retraining_dispatch_steps;
CREATE TABLE retraining_dispatch_steps (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    decision_id INTEGER NOT NULL REFERENCES retraining_decisions (id) ON DELETE CASCADE,
    at TIMESTAMPTZ NOT NULL DEFAULT now(),
    state TEXT NOT NULL,
    is_request BOOLEAN NOT NULL,
    status TEXT,
    conclusion TEXT,
    external_id TEXT,
    error TEXT
);
CREATE INDEX retraining_dispatch_steps_decision ON retraining_dispatch_steps (decision_id, id);

COMMENT ON COLUMN retraining_dispatch_steps.is_request IS 'Whether a request to the trainer begins with this step.';

-- With the rights of its owner: a role that may write dispatches needs none on this table.
CREATE OR REPLACE FUNCTION retrigger_keep_step() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER AS $$
BEGIN
    INSERT INTO retraining_dispatch_steps (decision_id, state, is_request, status, conclusion, external_id, error)
    VALUES (NEW.decision_id, NEW.state, NEW.asked_at IS DISTINCT FROM OLD.asked_at AND NEW.asked_at IS NOT NULL,
        NEW.status, NEW.conclusion, NEW.external_id, NEW.error);
    RETURN NULL;
END $$;
CREATE TRIGGER retraining_dispatches_kept AFTER UPDATE ON retraining_dispatches FOR EACH ROW
    WHEN ((OLD.state, OLD.asked_at, OLD.status, OLD.conclusion, OLD.external_id, OLD.error)
        IS DISTINCT FROM (NEW.state, NEW.asked_at, NEW.status, NEW.conclusion, NEW.external_id, NEW.error))
    EXECUTE FUNCTION retrigger_keep_step();

-- Functions with the rights of their owner must not find a temporary table of their caller: Postgres searches those first,
-- unless the path says otherwise.
DO $$
DECLARE
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['retrigger_count_dispatch', 'retrigger_list_reasons', 'retrigger_keep_step'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', name, current_schema());
    END LOOP;
END $$;

-- Down Migration

DROP TRIGGER retraining_dispatches_kept ON retraining_dispatches;
DROP FUNCTION retrigger_keep_step();
DROP TABLE retraining_dispatch_steps;
DROP INDEX retrigger_audit_target;
DROP INDEX retraining_approvals_settled;
DROP INDEX retraining_approvals_open;
DROP TRIGGER retraining_decisions_emptied ON retraining_decisions;
DROP TRIGGER retraining_decisions_listed ON retraining_decisions;
DROP FUNCTION retrigger_list_reasons();
DROP TABLE retraining_decision_reasons;

DROP INDEX retraining_dispatches_newest;
DROP INDEX retraining_decisions_triggered;
DROP INDEX retraining_decisions_cause;
DROP INDEX retraining_decisions_date;
ALTER TABLE retraining_decisions DROP COLUMN drift_ratio;
