-- Up Migration

-- Our functions find our tables in the schema that holds them, whatever the search path of the statement that fires them. Those with
-- the rights of their owner look nothing else up there: somebody who may create a function in that schema, with parameters that fit
-- better than those of Postgres's own, would have it run with these rights.
DO $$
DECLARE
    home CONSTANT TEXT := (SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE pg_class.oid = 'retraining_decisions'::regclass);
    name TEXT;
    body TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['retrigger_name_model', 'retrigger_chain_decision'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', name, home);
    END LOOP;
    FOR name, body IN SELECT proname, prosrc FROM pg_proc WHERE oid IN ('retrigger_count_dispatch()'::regprocedure,
            'retrigger_list_reasons()'::regprocedure, 'retrigger_keep_step()'::regprocedure)
            AND NOT COALESCE(proconfig, '{}') @> ARRAY['search_path=pg_catalog, pg_temp'] LOOP
        -- So their bodies name our tables with the schema. A backslash has a meaning in a replacement.
        EXECUTE format('CREATE OR REPLACE FUNCTION %I.%I() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER
            SET search_path = pg_catalog, pg_temp AS %L', home, name,
            regexp_replace(body, '(?<!\.)\mretraining_', replace(quote_ident(home), '\', '\\') || '.retraining_', 'g'));
    END LOOP;
END $$;

-- Down Migration

ALTER FUNCTION retrigger_name_model() RESET search_path;
