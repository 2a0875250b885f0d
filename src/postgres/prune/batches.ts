import { setTimeout } from "node:timers/promises";
import type pg from "pg";
import { hasCode } from "../explain-error.ts";
import { decisionInstant } from "../evidence-sql.ts";
import { selectKept } from "./kept-sql.ts";
import { IS_PRUNABLE, ORDER_OF, type Part, TABLE_OF } from "./parts.ts";
import type { PruneTarget } from "./target.ts";

export interface Batch {
  /** Stores rows, each a line of JSON, before they are removed. */
  save(lines: readonly string[]): Promise<void>;
}

interface DecisionBatch extends Batch {
  target: PruneTarget;
  timeZone: string;
  /** The parameters of `selectKept`. */
  toKept(target: PruneTarget): unknown[];
}

/** A batch is at most so many rows, and about so many bytes of evidence as it is stored. */
const BATCH_ROWS = 1_000;
const BATCH_BYTES = 4_000_000;

/** Counting and removing may take longer than other statements. */
export const LIMIT_MS = 120_000;

/** How often a batch is tried whose rows another transaction has locked. */
const ATTEMPTS = 20;
const PAUSE_MS = 250;

/** What belongs to decisions and goes with them by their `decision_id`, each with the key of its rows. */
export const OWNED = {
  retraining_dispatches: "id",
  retraining_dispatch_steps: "id",
  retraining_approvals: "id",
  retraining_outcomes: "id",
  retraining_model_versions: "registered_model, version",
} as const;

export function pruneDecisionBatch(pool: pg.Pool, batch: DecisionBatch): Promise<number> {
  return inBatch(pool, async (client) => {
    const { target, timeZone, toKept, save } = batch;
    const findBound = async (): Promise<number> => {
      const text = `SELECT COALESCE(min(id), 0) AS bound FROM (${selectKept(target.trainer)}) AS kept`;
      return (await client.query<{ bound: number }>(text, toKept(target))).rows[0]?.bound ?? 0;
    };
    const { rows } = await client.query<{ id: number }>(SELECT_OLDEST, [
      target.model,
      await findBound(),
      target.before,
      timeZone,
    ]);
    if (rows.length === 0) return 0;
    const found = rows.map(({ id }) => id);
    // With these locks nothing of them can change: their dispatches are locked too, and what would refer to them waits.
    await client.query(LOCK, [found]);
    const bound = await findBound();
    const ids = found.filter((id) => id < bound);
    const lines = [
      ...(await listLines(client, { table: "retraining_decisions", column: "id", key: "id" }, ids)),
    ];
    for (const [table, key] of Object.entries(OWNED))
      lines.push(...(await listLines(client, { table, column: "decision_id", key }, ids)));
    await save(lines);
    // The service locks these in the same order when it writes a dispatch; only now, because it waits for them.
    await client.query(LOCK_COUNTS, [target.model]);
    await client.query(REMOVE, [target.model, ids, timeZone]);
    return ids.length;
  });
}

export function pruneBatch(
  pool: pg.Pool,
  part: Part,
  { values, save }: Batch & { values: unknown[] },
): Promise<number> {
  return inBatch(pool, async (client) => {
    const table = TABLE_OF[part];
    // What the service is writing is left for later.
    const { rows } = await client.query<{ id: string; line: string }>(
      `SELECT id, ${lineOf(table)} FROM ${table} AS pruned WHERE ${IS_PRUNABLE[part]}
       ORDER BY ${ORDER_OF[part]} LIMIT ${BATCH_ROWS} FOR UPDATE SKIP LOCKED`,
      values,
    );
    if (rows.length === 0) return 0;
    await save(rows.map(({ line }) => line));
    await client.query(`DELETE FROM ${table} WHERE id = ANY($1::bigint[])`, [rows.map(({ id }) => id)]);
    return rows.length;
  });
}

/** Runs one batch in a transaction; again if others hold its locks. */
async function inBatch(pool: pg.Pool, prune: (client: pg.PoolClient) => Promise<number>): Promise<number> {
  for (let attempt = 1; ; attempt += 1) {
    const client = await pool.connect();
    const ignore = (): void => {};
    client.on("error", ignore);
    try {
      // Times without a zone are read as they were written; those with one are archived in UTC.
      await client.query("BEGIN; SET LOCAL lock_timeout = '1s'; SET LOCAL timezone = 'UTC'");
      const count = await prune(client);
      await client.query("COMMIT");
      client.release();
      return count;
    } catch (error) {
      client.release(true);
      if (!hasCode(error, LOCKED) || attempt >= ATTEMPTS) throw error;
      await setTimeout(PAUSE_MS);
    } finally {
      client.off("error", ignore);
    }
  }
}

/** lock_not_available, deadlock_detected. */
const LOCKED = ["55P03", "40P01"];

/** A row as a line: JSON may hold line ends, but not within its texts. */
function lineOf(table: string): string {
  return `'{"table":"${table}","row":' || translate(row_to_json(pruned)::text, E'\\n\\r', '  ') || '}' AS line`;
}

async function listLines(
  client: pg.PoolClient,
  { table, column, key }: { table: string; column: string; key: string },
  ids: readonly number[],
): Promise<string[]> {
  const { rows } = await client.query<{ line: string }>(
    `SELECT ${lineOf(table)} FROM ${table} AS pruned WHERE ${column} = ANY($1::integer[]) ORDER BY ${column}, ${key}`,
    [ids],
  );
  return rows.map(({ line }) => line);
}

const decidedAt = (zone: string): string =>
  `COALESCE(taken_at, ${decisionInstant({ zone })("decision_date")})`;

// $1 model, $2 the first decision that is kept, $3 the time, $4 time zone. The oldest decisions up to the first that is not old.
const SELECT_OLDEST = `
WITH oldest AS MATERIALIZED (
  SELECT id, ${decidedAt("$4::text")} AS at, COALESCE(pg_column_size(evidence), 0) AS size FROM retraining_decisions
  WHERE model = $1::text AND id < $2::integer ORDER BY id LIMIT ${BATCH_ROWS}
), counted AS (
  SELECT id, sum(size) OVER (ORDER BY id) - size AS bytes_before, bool_or(at >= $3::timestamptz) OVER (ORDER BY id) AS is_kept
  FROM oldest
)
SELECT id FROM counted WHERE is_kept IS NOT TRUE AND bytes_before < ${BATCH_BYTES} ORDER BY id`;

const LOCK = `WITH decisions AS MATERIALIZED (
  SELECT id FROM retraining_decisions WHERE id = ANY($1::integer[]) ORDER BY id FOR UPDATE
) SELECT FROM retraining_dispatches WHERE decision_id IN (SELECT id FROM decisions) ORDER BY decision_id FOR UPDATE`;

const LOCK_COUNTS =
  "SELECT FROM retraining_dispatch_counts WHERE model = $1 ORDER BY model, trainer, state FOR UPDATE";

// $1 model, $2 ids, $3 time zone. Successive prunes add up.
const REMOVE = `
WITH removed AS (
  DELETE FROM retraining_decisions WHERE id = ANY($2::integer[]) RETURNING id, sha256, ${decidedAt("$3::text")} AS at
)
INSERT INTO retraining_pruned AS known (model, decision_id, sha256, decisions, first_decision_at)
SELECT $1::text, max(id), (array_agg(sha256 ORDER BY id DESC) FILTER (WHERE sha256 IS NOT NULL))[1], count(*),
  (array_agg(at ORDER BY id))[1]
FROM removed HAVING count(*) > 0
ON CONFLICT (model) DO UPDATE SET decision_id = excluded.decision_id, sha256 = COALESCE(excluded.sha256, known.sha256),
  decisions = known.decisions + excluded.decisions, pruned_at = now()`;
