-- Up Migration

ALTER TABLE retraining_decisions
    ADD COLUMN reason_codes TEXT[],
    ADD COLUMN taken_at TIMESTAMPTZ,
    ADD COLUMN newest_alert_at TIMESTAMPTZ,
    ADD COLUMN next_look_at TIMESTAMPTZ;

COMMENT ON COLUMN retraining_decisions.reason_codes IS 'The reasons one by one: what programs branch on.';
COMMENT ON COLUMN retraining_decisions.taken_at IS 'When the snapshot of its evidence was taken.';
COMMENT ON COLUMN retraining_decisions.newest_alert_at IS 'The newest alert in alert_ids: bounds the search for the decisions that answered an alert.';
COMMENT ON COLUMN retraining_decisions.next_look_at IS 'When time alone could change the decision; NULL for never. A follow-up re-evaluates the model then.';
COMMENT ON COLUMN retraining_decisions.alert_ids IS 'Triggered alerts that the decision saw, as id@time; a trigger answers them.';

UPDATE retraining_decisions SET
    reason_codes = string_to_array(reason, ','),
    taken_at = (evidence ->> 'takenAt')::timestamptz,
    newest_alert_at = (evidence #>> '{checks,newestTriggered,0,checkedAt}')::timestamptz
WHERE run_id IS NOT NULL;

-- Times with an offset become instants; those without one stay, and are read in the zone of the settings.
UPDATE retraining_decisions SET alert_ids = ARRAY(
    SELECT CASE
        WHEN alert ~ '@\d{4,}-\d\d-\d\d \d\d:\d\d:\d\d(\.\d+)?[+-]\d\d(:\d\d)*$' THEN
            regexp_replace(alert, '@[^@]*$', '') || '@' ||
            to_char(regexp_replace(alert, '^.*@', '')::timestamptz AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')
        ELSE alert END
    FROM unnest(alert_ids) WITH ORDINALITY AS listed (alert, position) ORDER BY position)
WHERE decision IN ('trigger', 'trigger_mock') AND alert_ids::text ~ '[+-]\d\d(:\d\d)*["}]';

-- Earlier versions kept these follow-ups in Redis: re-evaluate them at once.
UPDATE retraining_decisions SET next_look_at = now()
WHERE reason_codes && ARRAY['retry_backoff', 'training_in_flight']
    AND id IN (SELECT max(id) FROM retraining_decisions WHERE run_id IS NOT NULL GROUP BY model);

-- For workers of the version before, which may go on deciding during an upgrade.
CREATE OR REPLACE FUNCTION retrigger_complete_decision() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.reason_codes := string_to_array(NEW.reason, ',');
    NEW.taken_at := (NEW.evidence ->> 'takenAt')::timestamptz;
    NEW.newest_alert_at := (NEW.evidence #>> '{checks,newestTriggered,0,checkedAt}')::timestamptz;
    RETURN NEW;
END $$;
CREATE TRIGGER retraining_decisions_completed BEFORE INSERT ON retraining_decisions
    FOR EACH ROW WHEN (NEW.evidence IS NOT NULL AND NEW.taken_at IS NULL) EXECUTE FUNCTION retrigger_complete_decision();

DROP INDEX retraining_decisions_triggers;
CREATE INDEX retraining_decisions_answers ON retraining_decisions (model, trainer, newest_alert_at)
    WHERE decision IN ('trigger', 'trigger_mock');

ALTER TABLE retraining_dispatches
    ADD COLUMN model_name TEXT,
    ADD COLUMN version INTEGER NOT NULL DEFAULT 0,
    ADD COLUMN reason_code TEXT,
    ADD COLUMN settings_hash TEXT,
    ADD COLUMN silent_since TIMESTAMPTZ;

COMMENT ON COLUMN retraining_dispatches.model_name IS 'The decision''s model, repeated here for the indexes.';
COMMENT ON COLUMN retraining_dispatches.version IS 'Raised by each write: a write that was computed from an older version is not made.';
COMMENT ON COLUMN retraining_dispatches.reason_code IS 'Why it came to its state, as a code: evidence_too_old, training_requested, settings_changed, request_tampered, lost.';
COMMENT ON COLUMN retraining_dispatches.settings_hash IS 'Hash of the settings that the request was rendered from.';
COMMENT ON COLUMN retraining_dispatches.silent_since IS 'Since when every attempt to hear of the training has failed.';

UPDATE retraining_dispatches AS dispatch SET model_name = decision.model, reason_code = CASE
        WHEN error = 'Not asked for: the evidence was too old by then' THEN 'evidence_too_old'
        WHEN error = 'Not asked for: another training was asked for since its evidence was gathered' THEN 'training_requested'
        WHEN state = 'failed' AND conclusion = 'lost' THEN 'lost' END
FROM retraining_decisions AS decision WHERE decision.id = decision_id;

DROP INDEX retraining_dispatches_pending;
DROP INDEX retraining_dispatches_open;
-- Trainings under way: few rows, however many the table holds.
CREATE INDEX retraining_dispatches_open ON retraining_dispatches (model_name, decision_id)
    WHERE trainer <> 'mock' AND state IN ('pending', 'sent', 'unknown', 'running');
-- Failures whose alerts may still be held back.
CREATE INDEX retraining_dispatches_failed ON retraining_dispatches (ended_at)
    WHERE trainer <> 'mock' AND state IN ('failed', 'cancelled');
CREATE INDEX retraining_dispatches_asked ON retraining_dispatches (model_name, asked_at) WHERE trainer <> 'mock';
CREATE INDEX retraining_dispatches_external ON retraining_dispatches (external_id) WHERE external_id IS NOT NULL;

-- Counted as they change, because counting a million rows for each scrape of /metrics takes most of a second.
DROP TABLE IF EXISTS retraining_dispatch_counts;
CREATE TABLE retraining_dispatch_counts (
    model TEXT NOT NULL,
    trainer TEXT NOT NULL,
    state TEXT NOT NULL,
    count BIGINT NOT NULL,
    PRIMARY KEY (model, trainer, state)
);
INSERT INTO retraining_dispatch_counts SELECT model_name, trainer, state, count(*) FROM retraining_dispatches GROUP BY 1, 2, 3;

CREATE OR REPLACE FUNCTION retrigger_name_model() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    SELECT model INTO NEW.model_name FROM retraining_decisions WHERE id = NEW.decision_id;
    RETURN NEW;
END $$;
CREATE TRIGGER retraining_dispatches_model BEFORE INSERT ON retraining_dispatches
    FOR EACH ROW WHEN (NEW.model_name IS NULL) EXECUTE FUNCTION retrigger_name_model();

-- With the rights of its owner: whoever may write dispatches may have them counted.
CREATE OR REPLACE FUNCTION retrigger_count_dispatch() RETURNS trigger LANGUAGE plpgsql
    SECURITY DEFINER SET search_path FROM CURRENT AS $$
BEGIN
    -- In a fixed order, so that two writers cannot deadlock.
    INSERT INTO retraining_dispatch_counts AS known (model, trainer, state, count)
    SELECT model, trainer, state, change FROM (
        SELECT OLD.model_name, OLD.trainer, OLD.state, -1 WHERE TG_OP <> 'INSERT'
        UNION ALL SELECT NEW.model_name, NEW.trainer, NEW.state, 1 WHERE TG_OP <> 'DELETE'
    ) AS changes (model, trainer, state, change) ORDER BY state
    ON CONFLICT (model, trainer, state) DO UPDATE SET count = known.count + excluded.count;
    RETURN NULL;
END $$;
CREATE TRIGGER retraining_dispatches_counted AFTER INSERT OR DELETE ON retraining_dispatches
    FOR EACH ROW EXECUTE FUNCTION retrigger_count_dispatch();
CREATE TRIGGER retraining_dispatches_recounted AFTER UPDATE OF state ON retraining_dispatches
    FOR EACH ROW WHEN (OLD.state <> NEW.state) EXECUTE FUNCTION retrigger_count_dispatch();

ALTER TABLE retraining_events ADD COLUMN decision_id INTEGER;
COMMENT ON COLUMN retraining_events.decision_id IS 'The decision whose snapshot is younger than the event; NULL as long as there is none.';

UPDATE retraining_events AS event SET decision_id = decision.id
FROM retraining_decisions AS decision
WHERE decision.run_id = event.run_id;
UPDATE retraining_events AS event SET decision_id = latest.id
FROM (
    SELECT DISTINCT ON (model) model, id, taken_at FROM retraining_decisions WHERE run_id IS NOT NULL ORDER BY model, id DESC
) AS latest
WHERE event.decision_id IS NULL AND latest.model = event.model AND event.received_at <= latest.taken_at;

DROP INDEX retraining_events_received;
CREATE INDEX retraining_events_uncovered ON retraining_events (model, received_at)
    WHERE decision_id IS NULL AND outcome <> 'drift_run_failed';

-- A table that was made by hand may take its ids from a sequence that it does not own, or from none.
DO $$
BEGIN
    IF pg_get_serial_sequence('retraining_decisions', 'id') IS NULL THEN
        CREATE SEQUENCE IF NOT EXISTS retrigger_decision_ids OWNED BY retraining_decisions.id;
        PERFORM setval('retrigger_decision_ids', GREATEST(max(id), 1), max(id) IS NOT NULL) FROM retraining_decisions;
        ALTER TABLE retraining_decisions ALTER COLUMN id SET DEFAULT nextval('retrigger_decision_ids');
    END IF;
    -- Sessions that take numbers in advance would give a newer decision a lower id.
    EXECUTE format('ALTER SEQUENCE %s CACHE 1', pg_get_serial_sequence('retraining_decisions', 'id'));
END $$;

-- Down Migration

DROP INDEX retraining_events_uncovered;
CREATE INDEX retraining_events_received ON retraining_events (received_at);
ALTER TABLE retraining_events DROP COLUMN decision_id;

DROP TRIGGER retraining_dispatches_recounted ON retraining_dispatches;
DROP TRIGGER retraining_dispatches_counted ON retraining_dispatches;
DROP TRIGGER retraining_dispatches_model ON retraining_dispatches;
DROP FUNCTION retrigger_count_dispatch();
DROP FUNCTION retrigger_name_model();
DROP TABLE retraining_dispatch_counts;
DROP INDEX retraining_dispatches_external;
DROP INDEX retraining_dispatches_asked;
DROP INDEX retraining_dispatches_failed;
DROP INDEX retraining_dispatches_open;
ALTER TABLE retraining_dispatches
    DROP COLUMN model_name, DROP COLUMN version, DROP COLUMN reason_code, DROP COLUMN settings_hash, DROP COLUMN silent_since;
CREATE INDEX retraining_dispatches_open ON retraining_dispatches (decision_id)
    WHERE trainer <> 'mock' AND state IN ('pending', 'sent', 'unknown', 'running');
CREATE INDEX retraining_dispatches_pending ON retraining_dispatches (created_at) WHERE state = 'pending';

DROP TRIGGER retraining_decisions_completed ON retraining_decisions;
DROP FUNCTION retrigger_complete_decision();
DROP INDEX retraining_decisions_answers;
CREATE INDEX retraining_decisions_triggers ON retraining_decisions (model, trainer, id) WHERE decision IN ('trigger', 'trigger_mock');
ALTER TABLE retraining_decisions
    DROP COLUMN reason_codes, DROP COLUMN taken_at, DROP COLUMN newest_alert_at, DROP COLUMN next_look_at;
