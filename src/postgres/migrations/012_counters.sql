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
CREATE FUNCTION retrigger_lock_counter(counter BIGINT) RETURNS VOID LANGUAGE sql AS $$
    SELECT pg_advisory_xact_lock(hashtextextended('retrigger counter ' || counter, 0))
$$;

-- Counts what a statement changed: TG_ARGV has the counter, the names of the columns with the batch and the time ('' for none), and
-- their types. With the rights of its owner: whoever writes the counted table needs none here. It must not fail, or the user's
-- statement would: what it cannot count it marks as lost. No exception is caught, because that would take a subtransaction per
-- statement.
CREATE FUNCTION retrigger_count_rows() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER AS $$
DECLARE
    counter CONSTANT BIGINT := TG_ARGV[0];
    batch CONSTANT TEXT := CASE TG_ARGV[1] WHEN '' THEN 'NULL::text' ELSE format('%I::text', TG_ARGV[1]) END;
    earliest CONSTANT TEXT := CASE TG_ARGV[3] WHEN '' THEN 'NULL::text' ELSE format('min(%I)::text', TG_ARGV[3]) END;
    latest CONSTANT TEXT := CASE TG_ARGV[3] WHEN '' THEN 'NULL::text' ELSE format('max(%I)::text', TG_ARGV[3]) END;
    batches CONSTANT TEXT := 'SELECT ' || batch || ' AS batch, count(*) AS rows, ' || earliest || ' AS earliest, '
        || latest || ' AS latest FROM %s '
        || CASE TG_ARGV[1] WHEN '' THEN 'HAVING count(*) > 0' ELSE format('GROUP BY %I', TG_ARGV[1]) END;
BEGIN
    -- A column may have been renamed, dropped or given another type since.
    IF (SELECT count(*) FROM pg_attribute WHERE attrelid = TG_RELID AND NOT attisdropped
            AND (attname, format_type(atttypid, -1)) IN ((TG_ARGV[1], TG_ARGV[2]), (TG_ARGV[3], TG_ARGV[4])))
        <> (CASE TG_ARGV[1] WHEN '' THEN 0 ELSE 1 END + CASE WHEN TG_ARGV[3] IN ('', TG_ARGV[1]) THEN 0 ELSE 1 END) THEN
        INSERT INTO retraining_buffer_counts (counter, rows, is_lost) VALUES (counter, 0, true);
    ELSIF TG_OP = 'INSERT' THEN
        EXECUTE 'INSERT INTO retraining_buffer_counts (counter, batch, rows, earliest, latest) SELECT $1, * FROM ('
            || format(batches, 'new_rows') || ') AS added' USING counter;
    ELSIF TG_OP = 'DELETE' THEN
        EXECUTE 'INSERT INTO retraining_buffer_counts (counter, batch, rows, gone_earliest, gone_latest)
            SELECT $1, batch, -rows, earliest, latest FROM (' || format(batches, 'old_rows') || ') AS removed' USING counter;
    ELSIF TG_OP = 'UPDATE' THEN
        -- A batch that lost and got the same number of rows, from and to the same times, is what it was.
        EXECUTE 'INSERT INTO retraining_buffer_counts (counter, batch, rows, earliest, latest, gone_earliest, gone_latest)
            SELECT $1, COALESCE(added.batch, removed.batch), COALESCE(added.rows, 0) - COALESCE(removed.rows, 0),
                added.earliest, added.latest, NULLIF(removed.earliest, added.earliest), NULLIF(removed.latest, added.latest)
            FROM (' || format(batches, 'new_rows') || ') AS added FULL JOIN (' || format(batches, 'old_rows') || ') AS removed
                ON COALESCE(added.batch, '''') = COALESCE(removed.batch, '''') AND (added.batch IS NULL) = (removed.batch IS NULL)
            WHERE (added.rows, added.earliest, added.latest) IS DISTINCT FROM (removed.rows, removed.earliest, removed.latest)'
            USING counter;
    ELSIF TG_ARGV[5] = 'whole' AND current_setting('transaction_isolation') IN ('read committed', 'read uncommitted') THEN
        PERFORM retrigger_lock_counter(counter);
        EXECUTE 'DELETE FROM retraining_buffer_counts WHERE counter = $1' USING counter;
    ELSE
        -- A snapshot from before the TRUNCATE does not show every row that it removes; nor is it known what a partition had.
        INSERT INTO retraining_buffer_counts (counter, rows, is_lost) VALUES (counter, 0, true);
    END IF;
    RETURN NULL;
END $$;

-- What has to stay the same for the counts to be right: the table with its partitions, its columns and our triggers. Anything that
-- changes one of them changes the xmin of its row in the catalog, too.
CREATE FUNCTION retrigger_counter_shape(table_ OID, counter BIGINT, batch TEXT, time_ TEXT) RETURNS JSONB
    LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    tree OID[];
BEGIN
    WITH RECURSIVE below AS (
        SELECT table_ AS id UNION ALL SELECT inhrelid FROM below JOIN pg_inherits ON inhparent = id
    ) SELECT array_agg(id ORDER BY id) INTO tree FROM below;
    RETURN jsonb_build_object(
        'partitions', tree,
        'kinds', (SELECT jsonb_agg(DISTINCT concat(relkind, relpersistence, relrowsecurity)) FROM pg_class WHERE oid = ANY (tree)),
        'hasParent', EXISTS (SELECT FROM pg_inherits WHERE inhrelid = table_),
        'isSubscribed', EXISTS (SELECT FROM pg_subscription_rel WHERE srrelid = ANY (tree)),
        'columns', (SELECT jsonb_agg(concat_ws(' ', attrelid, attname, atttypid, xmin) ORDER BY attrelid, attname) FROM pg_attribute
            WHERE attrelid = ANY (tree) AND NOT attisdropped AND attname IN (batch, time_)),
        'triggers', (SELECT jsonb_agg(concat_ws(' ', tgrelid, oid, tgenabled, xmin) ORDER BY oid) FROM pg_trigger
            WHERE tgrelid = ANY (tree) AND tgname LIKE 'retrigger\_counter\_' || counter || '\_%'));
END $$;

-- Why a counter must not be used now; NULL if it may.
CREATE FUNCTION retrigger_counter_problem(counter retraining_buffer_counters) RETURNS TEXT LANGUAGE plpgsql STABLE PARALLEL SAFE AS $$
DECLARE
    shape JSONB;
BEGIN
    IF counter.filled_at IS NULL THEN RETURN 'filling'; END IF;
    shape := retrigger_counter_shape(counter.table_oid, counter.id, counter.batch_column, counter.time_column);
    RETURN CASE
        WHEN shape = counter.shape THEN
            CASE WHEN EXISTS (SELECT FROM retraining_buffer_counts AS counts WHERE counts.counter = counter.id AND is_lost)
                THEN 'lost' END
        WHEN shape -> 'partitions' IS DISTINCT FROM counter.shape -> 'partitions' THEN 'partitions'
        WHEN shape -> 'columns' IS DISTINCT FROM counter.shape -> 'columns' THEN 'columns'
        WHEN shape -> 'triggers' IS DISTINCT FROM counter.shape -> 'triggers' THEN 'triggers'
        ELSE 'table' END;
END $$;

REVOKE ALL ON FUNCTION retrigger_count_rows() FROM PUBLIC;
DO $$
BEGIN
    -- Temporary tables of the caller come last.
    EXECUTE format('ALTER FUNCTION retrigger_count_rows() SET search_path = %I, pg_temp', current_schema());
END $$;
-- The texts of times must not depend on the writer's session.
ALTER FUNCTION retrigger_count_rows() SET datestyle = 'ISO';
ALTER FUNCTION retrigger_count_rows() SET timezone = 'UTC';
ALTER FUNCTION retrigger_count_rows() SET extra_float_digits = 1;

-- Down Migration

-- With it go the triggers on the counted tables.
DROP FUNCTION retrigger_count_rows() CASCADE;
DROP FUNCTION retrigger_counter_problem(retraining_buffer_counters);
DROP FUNCTION retrigger_counter_shape(OID, BIGINT, TEXT, TEXT);
DROP FUNCTION retrigger_lock_counter(BIGINT);
DROP TABLE retraining_buffer_counts;
DROP TABLE retraining_buffer_counters;
