import type pg from "pg";
import { quoteName } from "../source-columns.ts";
import { selectSums } from "./counted-sql.ts";

/** A counter, and what it counts. */
export interface Counter {
  id: number;
  /** The table, quoted, and its columns. */
  table: string;
  batchColumn: string | null;
  timeColumn: string | null;
  timeType: string | null;
}

/** Not of a pool: counting may take longer than its limit for a query. */
type Connection = Pick<pg.Client, "query">;

/** A truncating session, or another process that folds, may hold the counter. */
const LOCK_LIMIT_MS = 2_000;

/** Replaces the many changes that a counter consists of by one for each batch, and many lost ones by one. Never waits for writers. */
export async function foldCounter(client: Connection, counter: Counter): Promise<void> {
  await change(client, counter, [
    `WITH gone AS (DELETE FROM retraining_buffer_counts WHERE counter = ${counter.id} RETURNING *),
folded AS (${selectSums("gone WHERE NOT is_lost", counter.timeType)}),
lost AS (INSERT INTO retraining_buffer_counts (counter, rows, is_lost) SELECT ${counter.id}, 0, true FROM gone WHERE is_lost LIMIT 1)
INSERT INTO retraining_buffer_counts (counter, batch, rows, earliest, latest, gone_earliest, gone_latest)
SELECT ${counter.id}, batch, ratings, earliest::text, latest::text, gone_earliest::text, gone_latest::text
FROM folded WHERE ratings <> 0`,
  ]);
}

/**
 * Counts the table once and puts that in the place of all changes so far. Both happen in one snapshot, so that a change is
 * either in the count or still to be added. It locks the table no more than a query does.
 */
export function recount(client: Connection, counter: Counter): Promise<void> {
  return change(client, counter, countOnce(counter));
}

/** Recounts a counter that was just installed, and puts it in use. */
export function fill(client: Connection, counter: Counter): Promise<void> {
  const markFilled = `UPDATE retraining_buffer_counters SET filled_at = now() WHERE id = ${counter.id}`;
  return change(client, counter, [...countOnce(counter), markFilled]);
}

function countOnce(counter: Counter): string[] {
  return [
    requireShape(counter),
    `WITH gone AS (DELETE FROM retraining_buffer_counts WHERE counter = ${counter.id})
INSERT INTO retraining_buffer_counts (counter, batch, rows, earliest, latest)
SELECT id, counted.* FROM retraining_buffer_counters, (${selectExact(counter)}) AS counted WHERE id = ${counter.id}`,
  ];
}

/**
 * Fails if the table is not the one that was judged when the counter was installed: a column of another type, or row-level security,
 * may bring functions of the table's owner, which would run with the rights of this session. Run it once the table is locked.
 */
export function requireShape({ id }: Counter): string {
  return `DO $$ BEGIN
  IF EXISTS (SELECT FROM retraining_buffer_counters WHERE id = ${id}
      AND retrigger_counter_shape(table_oid, id, batch_column, time_column) IS DISTINCT FROM shape) THEN
    RAISE EXCEPTION 'the table was altered since its counter was installed';
  END IF;
END $$`;
}

/** Marks a counter as incomplete, so that it is not used until its table is recounted. */
export async function markLost(client: Connection, { id }: Counter): Promise<void> {
  await client.query(
    `INSERT INTO retraining_buffer_counts (counter, rows, is_lost) SELECT $1::bigint, 0, true
     WHERE NOT EXISTS (SELECT FROM retraining_buffer_counts WHERE counter = $1 AND is_lost)`,
    [id],
  );
}

/** The rows of the table by batch, with times as texts. */
export function selectExact({ table, batchColumn, timeColumn }: Counter): string {
  const batch = batchColumn === null ? null : quoteName(batchColumn);
  const time = timeColumn === null ? null : quoteName(timeColumn);
  const ends = time === null ? ["NULL", "NULL"] : [`min(source.${time})`, `max(source.${time})`];
  return `SELECT ${batch === null ? "NULL::text" : `source.${batch}::text`} AS batch, count(*) AS ratings,
    ${ends[0]}::text AS earliest, ${ends[1]}::text AS latest
  FROM ${table} AS source ${batch === null ? "HAVING count(*) > 0" : `GROUP BY source.${batch}`}`;
}

/** Runs statements under the counter's lock, each in a snapshot that was taken after it; as one message, for poolers. */
async function change(
  client: Connection,
  { id, table }: Counter,
  statements: readonly string[],
): Promise<void> {
  const all = [
    "BEGIN ISOLATION LEVEL READ COMMITTED",
    `SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = ${LOCK_LIMIT_MS}`,
    TEXTS_OF_TIMES,
    // In the order in which a TRUNCATE takes them.
    `LOCK TABLE ${table} IN ACCESS SHARE MODE`,
    `SELECT retrigger_lock_counter(${id})`,
    ...statements,
    "COMMIT",
  ];
  try {
    await client.query(all.join(";\n"));
  } catch (error) {
    await client.query("ROLLBACK").catch(() => {});
    throw error;
  }
}

/** The texts of times must not depend on the session. */
export const TEXTS_OF_TIMES =
  "SET LOCAL datestyle = 'ISO'; SET LOCAL timezone = 'UTC'; SET LOCAL extra_float_digits = 1";
