-- Up Migration

-- Our functions find our tables in the schema that holds them, whatever the search path of the statement that fires them. Those with
-- the rights of their owner look nothing else up there: somebody who may create a function in that schema, with parameters that fit
-- better than those of Postgres's own, would have it run with these rights.
DO $$
DECLARE
    home CONSTANT TEXT := (SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE pg_class.oid = 'retraining_decisions'::regclass);
    definer CONSTANT TEXT := 'CREATE OR REPLACE FUNCTION %I.%I() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
        SET search_path = pg_catalog, pg_temp AS %L';
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['retrigger_name_model', 'retrigger_chain_decision'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', name, home);
    END LOOP;
    EXECUTE format(definer, home, 'retrigger_count_dispatch', format($body$
BEGIN
    -- In a fixed order, so that two writers cannot deadlock.
    INSERT INTO %I.retraining_dispatch_counts AS known (model, trainer, state, count)
    SELECT model, trainer, state, change FROM (
        SELECT OLD.model_name, OLD.trainer, OLD.state, -1 WHERE TG_OP <> 'INSERT'
        UNION ALL SELECT NEW.model_name, NEW.trainer, NEW.state, 1 WHERE TG_OP <> 'DELETE'
    ) AS changes (model, trainer, state, change) ORDER BY state
    ON CONFLICT (model, trainer, state) DO UPDATE SET count = known.count + excluded.count;
    RETURN NULL;
END $body$, home));
    EXECUTE format(definer, home, 'retrigger_list_reasons', format($body$
BEGIN
    IF TG_OP = 'TRUNCATE' THEN
        TRUNCATE %1$I.retraining_decision_reasons;
    ELSIF TG_OP = 'DELETE' THEN
        DELETE FROM %1$I.retraining_decision_reasons
        WHERE decision_id = OLD.id AND code = ANY(COALESCE(OLD.reason_codes, ARRAY[OLD.reason]));
    ELSE
        INSERT INTO %1$I.retraining_decision_reasons
        SELECT code, NEW.id FROM unnest(COALESCE(NEW.reason_codes, ARRAY[NEW.reason])) AS code WHERE length(code) <= 100
        ON CONFLICT DO NOTHING;
    END IF;
    RETURN NULL;
END $body$, home));
    EXECUTE format(definer, home, 'retrigger_keep_step', format($body$
BEGIN
    INSERT INTO %I.retraining_dispatch_steps (decision_id, state, is_request, status, conclusion, external_id, error)
    VALUES (NEW.decision_id, NEW.state, NEW.asked_at IS DISTINCT FROM OLD.asked_at AND NEW.asked_at IS NOT NULL,
        NEW.status, NEW.conclusion, NEW.external_id, NEW.error);
    RETURN NULL;
END $body$, home));
END $$;

-- Down Migration

ALTER FUNCTION retrigger_name_model() RESET search_path;
