import { EVIDENCE_LIMITS } from "../../core/evidence.ts";
import { valueOf } from "../checks-sql.ts";
import type { Parameters } from "../parameters.ts";
import { quoteForCatalog, quoteTable } from "../source-columns.ts";
import type { BufferTable } from "../source-tables.ts";
import { findUncountable } from "./countable.ts";

/** The part of a statement that reads a table's counter instead of the table. */
export interface CountedPart {
  ctes: string[];
  /** Whether the counter is present and sound, as SQL: the table is not read then. */
  isUsed: string;
  /** The batches as the counter has them; none if it is not used. */
  select: string;
  /** What the counter is like, as JSON; NULL if there is none. */
  json: string;
}

/**
 * Reads the counter of a buffer, if there is one when the statement runs and it is sound: in the same snapshot, so that its
 * figures are those that counting the rows would give. Null if the buffer cannot have one.
 */
export function buildCounted(table: BufferTable, parameters: Parameters): CountedPart | null {
  if (findUncountable(table) !== null) return null;
  const { batch, time } = table.columns;
  const columnOf = (column: { name: string } | undefined): string =>
    column ? parameters.text(column.name) : "NULL::text";
  return {
    ctes: [
      `counter AS MATERIALIZED (
  SELECT id, retrigger_counter_problem(counter) AS problem FROM retraining_buffer_counters AS counter
  WHERE table_oid = to_regclass(${parameters.text(quoteForCatalog(table.table))})::oid
    AND COALESCE(batch_column, '') = COALESCE(${columnOf(batch)}, '')
    AND COALESCE(time_column, '') = COALESCE(${columnOf(time)}, '')
)`,
      `counted AS MATERIALIZED (
  SELECT *, ${IS_OPEN} AS is_open FROM (${selectSums(
    "retraining_buffer_counts WHERE counter = (SELECT id FROM counter WHERE problem IS NULL)",
    time?.type ?? null,
  )}) AS sums
)`,
      ...(time ? [describeEnds(table)] : []),
    ],
    isUsed: IS_USED,
    select: [
      selectBatches("counted", "counted", time ? "NOT is_open" : "true"),
      ...(time ? [selectBatches(JOINED_ENDS, "ends", `is_open AND (SELECT EXISTS (SELECT ${OPEN}))`)] : []),
    ].join("\n  UNION ALL "),
    json: `(SELECT json_build_object('id', id, 'problem', CASE WHEN problem IS NULL AND NOT ${IS_USED} THEN 'lost' ELSE problem END,
      'entries', (SELECT COALESCE(sum(entries), 0) FROM counted),
      'isOpen', EXISTS (SELECT FROM counted WHERE is_open AND ratings > 0)) FROM counter)`,
  };
}

/** No batch has fewer than no rows, unless the counts were tampered with. */
const IS_USED = `(SELECT EXISTS (SELECT FROM counter WHERE problem IS NULL)
      AND NOT EXISTS (SELECT FROM counted WHERE ratings < 0))`;

/** The type of the times of a counter that has none. */
export const NO_TIME_TYPE = "float8";

/**
 * The sums of a counter by batch: the first and the last time of all rows that were added, and of those that were removed.
 *
 * @param from The changes, as SQL.
 * @param timeType The type of the column with the time; null if there is none.
 */
export function selectSums(from: string, timeType: string | null): string {
  const end = (name: "min" | "max", column: string): string =>
    `${name}(${column}::${timeType ?? NO_TIME_TYPE}) AS ${column}`;
  return `SELECT batch, sum(rows)::bigint AS ratings, ${end("min", "earliest")}, ${end("max", "latest")},
    ${end("min", "gone_earliest")}, ${end("max", "gone_latest")}, count(*) AS entries
  FROM ${from} GROUP BY batch`;
}

/** Whether a row with the first or last time was removed, so that only the table can say whether there is another one. */
const IS_OPEN = "COALESCE(gone_earliest <= earliest, false) OR COALESCE(gone_latest >= latest, false)";

/** The first and last time of the batches that the counter cannot tell. */
function describeEnds({ table, columns }: BufferTable): string {
  const batch = valueOf(columns.batch);
  const time = valueOf(columns.time);
  const isOpen = batch
    ? `WHERE ${batch.sql} = ANY (ARRAY(SELECT batch::${columns.batch?.type} ${OPEN}))
    OR ${batch.sql} IS NULL AND (SELECT EXISTS (SELECT ${OPEN} AND batch IS NULL))
  GROUP BY ${batch.sql}`
    : "";
  return `ends AS MATERIALIZED (
  SELECT ${batch ? `${batch.sql}::text` : "NULL::text"} AS batch, min(${time?.sql}) AS earliest, max(${time?.sql}) AS latest
  FROM ${quoteTable(table)} AS source ${isOpen}
)`;
}

const OPEN = "FROM counted WHERE is_open AND ratings > 0";

const JOINED_ENDS = `counted LEFT JOIN ends
    ON COALESCE(ends.batch, '') = COALESCE(counted.batch, '') AND (ends.batch IS NULL) = (counted.batch IS NULL)`;

/** A part of which the condition does not hold is not evaluated, and neither is what only it reads. */
function selectBatches(from: string, ends: "counted" | "ends", condition: string): string {
  return `SELECT left(counted.batch, ${EVIDENCE_LIMITS.texts}), ratings, ${ends}.earliest, ${ends}.latest
    FROM ${from} WHERE ratings > 0 AND ${condition} AND ${IS_USED}`;
}
