import type pg from "pg";
import { NO_TIME_TYPE, selectSums } from "./counted-sql.ts";
import { type Counter, requireShape, selectExact, TEXTS_OF_TIMES } from "./recount.ts";

/** A batch whose rows are not what the counter says. */
export interface Difference {
  batch: string | null;
  /** As the counter has them, and as they were counted; a batch that is not there has 0. */
  counted: number;
  actual: number;
  /** What else differs: the first or the last time; null if these agree, or if the counter leaves them to the table. */
  times: { counted: (string | null)[]; actual: (string | null)[] } | null;
}

const MOST_LISTED = 1_000;

/** Compares a counter with the rows that the same snapshot shows. */
export async function compareCounts(
  client: Pick<pg.ClientBase, "query">,
  counter: Counter,
): Promise<Difference[]> {
  await client.query("BEGIN");
  try {
    await client.query(
      `SET LOCAL statement_timeout = 0; ${TEXTS_OF_TIMES}; LOCK TABLE ${counter.table} IN ACCESS SHARE MODE; ${requireShape(counter)}`,
    );
    const { rows } = await client.query<Difference>(compare(counter));
    return rows;
  } finally {
    await client.query("ROLLBACK");
  }
}

/** The ends of a batch agree if the counter leaves them open: gather reads them from the table then. */
function compare(counter: Counter): string {
  // Not their texts: 1.0 and 1.00 are the same number.
  const type = counter.timeType ?? NO_TIME_TYPE;
  const differs = (end: "earliest" | "latest", order: string): string =>
    `(sums.${end} IS DISTINCT FROM rows.${end}::${type} AND COALESCE(sums.gone_${end} ${order} sums.${end}, false) IS NOT TRUE)`;
  const differ = `(sums.batch IS NOT DISTINCT FROM rows.batch AND sums.ratings > 0
    AND (${differs("earliest", "<=")} OR ${differs("latest", ">=")}))`;
  return `
WITH rows AS MATERIALIZED (${selectExact(counter)}),
sums AS MATERIALIZED (
  SELECT * FROM (${selectSums(`retraining_buffer_counts WHERE counter = ${counter.id}`, counter.timeType)}) AS all_sums
  WHERE ratings <> 0
)
SELECT COALESCE(sums.batch, rows.batch) AS batch, COALESCE(sums.ratings, 0)::float8 AS counted,
  COALESCE(rows.ratings, 0)::float8 AS actual,
  CASE WHEN ${differ} THEN json_build_object('counted', json_build_array(sums.earliest::text, sums.latest::text),
    'actual', json_build_array(rows.earliest, rows.latest)) END AS times
FROM sums FULL JOIN rows
  ON COALESCE(sums.batch, '') = COALESCE(rows.batch, '') AND (sums.batch IS NULL) = (rows.batch IS NULL)
WHERE sums.ratings IS DISTINCT FROM rows.ratings OR ${differ}
ORDER BY 1 LIMIT ${MOST_LISTED}`;
}
