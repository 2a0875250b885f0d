-- Up Migration

-- Our functions find our tables in the schema that holds them, whatever the search path of the statement that fires them.
DO $$
DECLARE
    home CONSTANT TEXT := (SELECT nspname FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
        WHERE pg_class.oid = 'retraining_decisions'::regclass);
    name TEXT;
BEGIN
    FOREACH name IN ARRAY ARRAY['retrigger_name_model', 'retrigger_count_dispatch', 'retrigger_list_reasons',
        'retrigger_keep_step', 'retrigger_chain_decision'] LOOP
        EXECUTE format('ALTER FUNCTION %I() SET search_path = %I, pg_temp', name, home);
    END LOOP;
END $$;

-- Down Migration

ALTER FUNCTION retrigger_name_model() RESET search_path;
