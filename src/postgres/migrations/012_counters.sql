-- Up Migration

-- Which tables are counted while they are written.
CREATE TABLE retraining_buffer_counters (
    id BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    table_oid OID NOT NULL,
    table_name TEXT NOT NULL,
    batch_column TEXT,
    time_column TEXT,
    time_type TEXT,
    shape JSONB,
    installed_by TEXT NOT NULL DEFAULT current_user,
    installed_at TIMESTAMPTZ NOT NULL DEFAULT now(),
    filled_at TIMESTAMPTZ
);
COMMENT ON COLUMN retraining_buffer_counters.table_oid IS 'Stays the same if the table is renamed; a table that is created again has another one.';
COMMENT ON COLUMN retraining_buffer_counters.table_name IS 'The name in the settings.';
COMMENT ON COLUMN retraining_buffer_counters.shape IS 'What the table and its triggers looked like when they were installed: see retrigger_counter_shape.';
COMMENT ON COLUMN retraining_buffer_counters.filled_at IS 'When the rows were counted that were there before; NULL: not yet.';
CREATE UNIQUE INDEX retraining_buffer_counters_table
    ON retraining_buffer_counters (table_oid, COALESCE(batch_column, ''), COALESCE(time_column, ''));

-- What each statement changed; a batch's rows are the sum. Rows are only added, so writers neither wait for each other nor
-- deadlock, under any isolation level; now and then Retrigger folds them. Times are texts, because their type is that of the column.
CREATE TABLE retraining_buffer_counts (
    counter BIGINT NOT NULL,
    batch TEXT,
    rows BIGINT NOT NULL,
    earliest TEXT,
    latest TEXT,
    gone_earliest TEXT,
    gone_latest TEXT,
    is_lost BOOLEAN NOT NULL DEFAULT false
);
COMMENT ON COLUMN retraining_buffer_counts.rows IS 'Rows that were added, less those that were removed.';
COMMENT ON COLUMN retraining_buffer_counts.earliest IS 'The earliest and the latest time of the rows that were added; gone_*: of those that were removed.';
COMMENT ON COLUMN retraining_buffer_counts.is_lost IS 'A change could not be counted: the table has to be counted once more.';
CREATE INDEX retraining_buffer_counts_counter ON retraining_buffer_counts (counter);
CREATE INDEX retraining_buffer_counts_lost ON retraining_buffer_counts (counter) WHERE is_lost;

-- The lock under which counts are taken out of the table: one session at a time does so.
CREATE OR REPLACE FUNCTION retrigger_lock_counter(counter BIGINT) RETURNS VOID LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('retrigger counter ' || counter, 0))
$$;

-- Creates the function that counts what a statement changed, for one counter: with its columns in it, so that Postgres plans it once
-- per session and not once per statement. It has the rights of its owner: whoever writes the counted table needs none here. It must
-- not fail, or the user's statement would: what it cannot count it marks as lost. No exception is caught, because that would take a
-- subtransaction per statement. No function or operator is looked up outside pg_catalog: somebody who may create one elsewhere, with
-- parameters that fit better, would have it run with our rights. So our own names carry their schema, which replaces __schema__ below.
CREATE OR REPLACE FUNCTION retrigger_define_counter(counter BIGINT, batch TEXT, batch_type REGTYPE, time_ TEXT, time_type REGTYPE,
    is_partitioned BOOLEAN, installer TEXT) RETURNS VOID LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp AS $define$
DECLARE
    schema_ CONSTANT TEXT := '__schema__';
    name CONSTANT TEXT := schema_ || '.retrigger_count_' || counter;
    counts CONSTANT TEXT := schema_ || '.retraining_buffer_counts';
    lost CONSTANT TEXT := 'INSERT INTO ' || counts || ' (counter, rows, is_lost) VALUES (' || counter || ', 0, true);';
    from_ CONSTANT TEXT := 'SELECT ' || COALESCE(quote_ident(batch), 'NULL') || '::text AS batch, count(*) AS rows, '
        || COALESCE('min(' || quote_ident(time_) || ')::text AS earliest, max(' || quote_ident(time_) || ')::text AS latest',
            'NULL::text AS earliest, NULL::text AS latest') || ' FROM ';
    group_ CONSTANT TEXT := COALESCE(' GROUP BY ' || quote_ident(batch), ' HAVING count(*) > 0');
    added CONSTANT TEXT := '(' || from_ || 'new_rows' || group_ || ') AS added';
    removed CONSTANT TEXT := '(' || from_ || 'old_rows' || group_ || ') AS removed';
    columns CONSTANT TEXT[] := array_remove(ARRAY[
        '(' || quote_literal(batch) || ', ' || batch_type::oid || ')',
        CASE WHEN time_ IS DISTINCT FROM batch THEN '(' || quote_literal(time_) || ', ' || time_type::oid || ')' END], NULL);
    body CONSTANT TEXT := '
#variable_conflict use_column
BEGIN
    -- A column may have been renamed, dropped or given another type since.
    IF (SELECT count(*) FROM pg_attribute WHERE attrelid = TG_RELID AND NOT attisdropped
            AND (attname, atttypid) IN (' || COALESCE(NULLIF(array_to_string(columns, ', '), ''), '(NULL, NULL)') || '))
        <> ' || cardinality(columns) || ' THEN
        ' || lost || '
    ELSIF TG_OP = ''INSERT'' THEN
        INSERT INTO ' || counts || ' (counter, batch, rows, earliest, latest) SELECT ' || counter || ', * FROM ' || added || ';
    ELSIF TG_OP = ''DELETE'' THEN
        INSERT INTO ' || counts || ' (counter, batch, rows, gone_earliest, gone_latest)
        SELECT ' || counter || ', batch, -rows, earliest, latest FROM ' || removed || ';
    ELSIF TG_OP = ''UPDATE'' THEN
        -- A batch that lost and got the same number of rows, from and to the same times, is what it was.
        INSERT INTO ' || counts || ' (counter, batch, rows, earliest, latest, gone_earliest, gone_latest)
        SELECT ' || counter || ', COALESCE(added.batch, removed.batch), COALESCE(added.rows, 0) - COALESCE(removed.rows, 0),
            added.earliest, added.latest, NULLIF(removed.earliest, added.earliest), NULLIF(removed.latest, added.latest)
        FROM ' || added || ' FULL JOIN ' || removed || '
            ON COALESCE(added.batch, '''') = COALESCE(removed.batch, '''') AND (added.batch IS NULL) = (removed.batch IS NULL)
        WHERE (added.rows, added.earliest, added.latest) IS DISTINCT FROM (removed.rows, removed.earliest, removed.latest);
    ELSIF ' || (NOT is_partitioned)::text || ' AND current_setting(''transaction_isolation'') IN (''read committed'', ''read uncommitted'') THEN
        -- Whoever counts holds a lock of the table, too, which ends a moment before this one. No other session may make the TRUNCATE wait.
        FOR attempt IN 1..20 LOOP
            EXIT WHEN pg_try_advisory_xact_lock(hashtextextended(''retrigger counter ' || counter || ''', 0));
            IF attempt = 20 THEN
                ' || lost || '
                RETURN NULL;
            END IF;
            PERFORM pg_sleep(0.005);
        END LOOP;
        DELETE FROM ' || counts || ' WHERE counter = ' || counter || ';
    ELSE
        -- A snapshot from before the TRUNCATE does not show every row that it removes; nor is it known what a partition had.
        ' || lost || '
    END IF;
    RETURN NULL;
END ';
BEGIN
    -- The texts of other types may come from a cast that somebody else wrote, which would run with our rights.
    IF (batch IS NULL) <> (batch_type IS NULL) OR (time_ IS NULL) <> (time_type IS NULL) OR batch_type <> ALL ('{text,varchar,bpchar,int2,int4,int8,uuid,bool}'::regtype[])
        OR time_type <> ALL ('{timestamptz,timestamp,date,int2,int4,int8,float4,float8,numeric}'::regtype[]) THEN
        RAISE EXCEPTION 'a column of type % or % cannot be counted', batch_type, time_type;
    END IF;
    -- Left by tables of ours that were dropped by hand, with its triggers: ids begin with 1 again.
    EXECUTE 'DROP FUNCTION IF EXISTS ' || name || '() CASCADE';
    -- The texts of times must not depend on the writer's session; those of numbers do not.
    EXECUTE 'CREATE FUNCTION ' || name || '() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp '
        || CASE WHEN time_type IN ('int2'::regtype, 'int4'::regtype, 'int8'::regtype, 'numeric'::regtype) THEN ''
            ELSE 'SET datestyle = ISO SET timezone = UTC SET extra_float_digits = 1 ' END
        || 'AS ' || quote_literal(body);
    EXECUTE 'REVOKE ALL ON FUNCTION ' || name || '() FROM PUBLIC';
    EXECUTE 'GRANT EXECUTE ON FUNCTION ' || name || '() TO ' || quote_ident(installer);
END $define$;

-- Drops it, and whatever triggers still use it.
CREATE OR REPLACE FUNCTION retrigger_drop_counter(counter BIGINT) RETURNS VOID LANGUAGE plpgsql SECURITY DEFINER
    SET search_path = pg_catalog, pg_temp AS $$
BEGIN
    EXECUTE 'DROP FUNCTION IF EXISTS __schema__.retrigger_count_' || counter || '() CASCADE';
END $$;

-- What has to stay the same for the counts to be right: the table with its partitions, its columns and our triggers. Anything that
-- changes one of them changes the xmin of its row in the catalog, too. To attach the table to a parent changes all of its columns; if
-- neither of ours exists, the first one shows it.
CREATE OR REPLACE FUNCTION retrigger_counter_shape(table_ OID, counter BIGINT, batch TEXT, time_ TEXT) RETURNS JSONB
    LANGUAGE plpgsql STABLE PARALLEL SAFE SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    tree OID[];
BEGIN
    WITH RECURSIVE below AS (
        SELECT table_ AS id UNION ALL SELECT inhrelid FROM below JOIN pg_inherits ON inhparent = id AND NOT inhdetachpending
    ) SELECT array_agg(id ORDER BY id) INTO tree FROM below;
    RETURN jsonb_build_object(
        'partitions', tree,
        'kinds', (SELECT jsonb_agg(DISTINCT concat(relkind, relpersistence, relrowsecurity)) FROM pg_class WHERE oid = ANY (tree)),
        'hasParent', EXISTS (SELECT FROM pg_inherits WHERE inhrelid = table_),
        'isSubscribed', EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = ANY (tree)),
        'columns', (SELECT jsonb_agg(concat_ws(' ', attrelid, attname, atttypid, xmin) ORDER BY attrelid, attname) FROM pg_attribute
            WHERE attrelid = ANY (tree) AND NOT attisdropped AND (attname IN (batch, time_) OR batch IS NULL AND time_ IS NULL
                AND attnum = (SELECT min(attnum) FROM pg_attribute WHERE attrelid = table_ AND attnum > 0 AND NOT attisdropped))),
        'triggers', (SELECT jsonb_agg(concat_ws(' ', tgrelid, oid, tgenabled, xmin) ORDER BY oid) FROM pg_trigger
            WHERE tgrelid = ANY (tree) AND tgfoid = to_regprocedure('__schema__.retrigger_count_' || counter || '()')));
END $$;

-- Why a counter must not be used now; NULL if it may.
CREATE OR REPLACE FUNCTION retrigger_counter_problem(counter retraining_buffer_counters) RETURNS TEXT LANGUAGE plpgsql STABLE PARALLEL SAFE
    SET search_path = pg_catalog, pg_temp AS $$
DECLARE
    shape JSONB;
BEGIN
    IF counter.filled_at IS NULL THEN RETURN 'filling'; END IF;
    shape := __schema__.retrigger_counter_shape(counter.table_oid, counter.id, counter.batch_column, counter.time_column);
    RETURN CASE
        WHEN shape = counter.shape THEN
            CASE WHEN EXISTS (SELECT FROM __schema__.retraining_buffer_counts AS counts WHERE counts.counter = counter.id AND is_lost)
                THEN 'lost' END
        WHEN shape -> 'partitions' IS DISTINCT FROM counter.shape -> 'partitions' THEN 'partitions'
        WHEN shape -> 'columns' IS DISTINCT FROM counter.shape -> 'columns' THEN 'columns'
        WHEN shape -> 'triggers' IS DISTINCT FROM counter.shape -> 'triggers' THEN 'triggers'
        ELSE 'table' END;
END $$;

-- Only who was granted it may have a table counted.
REVOKE ALL ON FUNCTION retrigger_define_counter(BIGINT, TEXT, REGTYPE, TEXT, REGTYPE, BOOLEAN, TEXT), retrigger_drop_counter(BIGINT) FROM PUBLIC;
DO $$
DECLARE
    schema_ CONSTANT TEXT := quote_ident(current_schema());
    own REGPROCEDURE;
BEGIN
    -- Within a literal.
    FOREACH own IN ARRAY '{"retrigger_define_counter(bigint,text,regtype,text,regtype,boolean,text)",retrigger_drop_counter(bigint),"retrigger_counter_shape(oid,bigint,text,text)"}'::REGPROCEDURE[] LOOP
        EXECUTE replace(pg_get_functiondef(own), '__schema__', replace(schema_, '''', ''''''));
    END LOOP;
    EXECUTE replace(pg_get_functiondef('retrigger_counter_problem(retraining_buffer_counters)'::REGPROCEDURE), '__schema__', schema_);
END $$;

-- Down Migration

-- With the functions go the triggers on the counted tables.
SELECT retrigger_drop_counter(id) FROM retraining_buffer_counters;
DROP FUNCTION retrigger_drop_counter(BIGINT);
DROP FUNCTION retrigger_define_counter(BIGINT, TEXT, REGTYPE, TEXT, REGTYPE, BOOLEAN, TEXT);
DROP FUNCTION retrigger_counter_problem(retraining_buffer_counters);
DROP FUNCTION retrigger_counter_shape(OID, BIGINT, TEXT, TEXT);
DROP FUNCTION retrigger_lock_counter(BIGINT);
DROP TABLE retraining_buffer_counts;
DROP TABLE retraining_buffer_counters;
