import type pg from "pg";
import { PermanentError } from "../../core/errors.ts";
import { toMs } from "../../core/duration.ts";
import type { PointInTime } from "../../core/point-in-time.ts";
import { decisionInstant } from "../evidence-sql.ts";
import { selectModelNames } from "../model-names.ts";
import { type Batch, LIMIT_MS, pruneBatch, pruneDecisionBatch } from "./batches.ts";
import { type KeptBecause, KEPT_DAYS, selectKept } from "./kept-sql.ts";
import { IS_PRUNABLE, type Part, TABLE_OF } from "./parts.ts";
import type { PruneTarget } from "./target.ts";

/** A model with recorded rows; of one that the settings do not name, what its latest decision was judged by. */
export interface RecordedModel {
  model: string;
  policy: unknown;
  trainer: string | null;
}

/** Where the decisions of a model that are kept begin; null if it has none. */
export interface KeptFrom {
  decisionId: number;
  because: KeptBecause;
}

export interface PruneStoreOptions {
  pool: pg.Pool;
  timeZone: string;
  evidenceMaxAgeSeconds: number;
}

/** Removes what is old. */
export function createPruneStore(options: PruneStoreOptions) {
  const { pool, timeZone, evidenceMaxAgeSeconds } = options;
  const toKept = ({ model, trainer, needs }: PruneTarget): unknown[] => [
    model,
    trainer,
    needs.reach,
    needs.requested,
    needs.requestedByAll,
    needs.durations,
    evidenceMaxAgeSeconds,
  ];
  const batchOptions = { timeZone, toKept };

  return {
    /** @throws PermanentError if the time is not at least `KEPT_DAYS` ago, by the database's clock. */
    async findPruneTime({ ago, at }: PointInTime): Promise<string> {
      const { rows } = await pool.query<{ before: string; isTooRecent: boolean }>(FIND_TIME, [
        at,
        ago === null ? null : toMs(ago) / 1000,
      ]);
      const { before = "", isTooRecent = true } = rows[0] ?? {};
      if (!isTooRecent) return before;
      throw new PermanentError(
        "BAD_INPUT",
        `--before is ${ago ?? at}: the last ${KEPT_DAYS} days are always kept. Choose ${KEPT_DAYS}d or more, or a date at least as long ago`,
      );
    },

    /** Identifies the database: when its tables were created. */
    async identifyDatabase(): Promise<string> {
      const { rows } = await pool.query<{ id: string }>(
        "SELECT to_json(run_on) #>> '{}' AS id FROM retrigger_migrations ORDER BY id LIMIT 1",
      );
      return rows[0]?.id ?? "";
    },

    /** Whether one of the tables of archived rows has a row. */
    async hasPrunableRow(table: string, id: number): Promise<boolean> {
      const known = ["retraining_decisions", ...Object.values(TABLE_OF)].find((each) => each === table);
      if (known === undefined) return false;
      return (await pool.query(`SELECT FROM ${known} WHERE id = $1::bigint`, [id])).rows.length > 0;
    },

    /** How many decisions were ever pruned. */
    async countPruned(): Promise<number> {
      const text = "SELECT COALESCE(sum(decisions), 0)::float8 AS count FROM retraining_pruned";
      return (await pool.query<{ count: number }>(text)).rows[0]?.count ?? 0;
    },

    async listPrunableModels(): Promise<RecordedModel[]> {
      return (await pool.query<RecordedModel>(LIST_MODELS)).rows;
    },

    /** How many decisions may go, and from which on they are kept. */
    async countPrunableDecisions(
      target: PruneTarget,
    ): Promise<{ decisions: number; keptFrom: KeptFrom | null }> {
      const text = `WITH kept AS (SELECT * FROM (${selectKept(target.trainer)}
UNION ALL
SELECT 'newer', (SELECT id FROM retraining_decisions WHERE model = $1::text
  AND COALESCE(taken_at, ${decisionInstant({ zone: "$9::text" })("decision_date")}) >= $8::timestamptz ORDER BY id LIMIT 1)
) AS rules WHERE id IS NOT NULL ORDER BY id LIMIT 1)
SELECT count(decision.id)::float8 AS decisions, kept.id AS "decisionId", because FROM kept
LEFT JOIN retraining_decisions AS decision ON decision.model = $1::text AND decision.id < kept.id GROUP BY kept.id, because`;
      const { rows } = await pool.query<{ decisions: number } & KeptFrom>({
        text,
        values: [...toKept(target), target.before, timeZone],
        query_timeout: LIMIT_MS,
      } as pg.QueryConfig);
      const [row] = rows;
      if (row === undefined) return { decisions: 0, keptFrom: null };
      const { decisions, ...keptFrom } = row;
      return { decisions, keptFrom };
    },

    /** How many rows of a part may go. */
    async countPrunable(
      part: Part,
      values: Pick<PruneTarget, "before"> & Partial<PruneTarget>,
    ): Promise<number> {
      const { rows } = await pool.query<{ count: number }>({
        text: `SELECT count(*)::float8 AS count FROM ${TABLE_OF[part]} WHERE ${IS_PRUNABLE[part]}`,
        values: toPart(values),
        query_timeout: LIMIT_MS,
      } as pg.QueryConfig);
      return rows[0]?.count ?? 0;
    },

    /**
     * Removes the oldest decisions of a model that may go, with all that belongs to them, in one short transaction. `save` is
     * called before with the rows as lines; it must have stored them when it returns. Returns how many decisions were removed.
     */
    pruneDecisions: (target: PruneTarget, save: Batch["save"]): Promise<number> =>
      pruneDecisionBatch(pool, { target, save, ...batchOptions }),

    /** The same for rows of another part. */
    prunePart: (
      part: Part,
      values: Pick<PruneTarget, "before"> & Partial<PruneTarget>,
      save: Batch["save"],
    ): Promise<number> => pruneBatch(pool, part, { values: toPart(values), save }),

    /** Runs `use` while no other process prunes this database. @throws PermanentError if one does. */
    async whilePruning<T>(use: () => Promise<T>): Promise<T> {
      const client = await pool.connect();
      client.on("error", () => {});
      try {
        // Until the end of the transaction, which survives a pooler. It reads nothing, so it keeps no row from being vacuumed.
        await client.query("BEGIN");
        const { rows } = await client.query<{ isOurs: boolean }>(
          `SELECT pg_try_advisory_xact_lock(hashtext('retrigger prune')) AS "isOurs"`,
        );
        if (rows[0]?.isOurs !== true)
          throw new PermanentError("REFUSED", "Another process is pruning this database. Wait for its end");
        return await use();
      } finally {
        client.release(true);
      }
    },
  };
}

function toPart({ before, model, needs }: Pick<PruneTarget, "before"> & Partial<PruneTarget>): unknown[] {
  return [before, model ?? null, needs?.reach ?? 0];
}

const FIND_TIME = `SELECT to_json(before) #>> '{}' AS before, before > now() - interval '${KEPT_DAYS} days' AS "isTooRecent"
FROM (SELECT COALESCE($1::timestamptz, now() - make_interval(secs => $2::float8)) AS before) AS given`;

const LIST_MODELS = `
SELECT model, policy, trainer FROM (
  ${["retraining_decisions", "retraining_events", "retraining_reported_checks"].map(selectModelNames).join(" UNION ")}
) AS models LEFT JOIN LATERAL (
  SELECT policy, trainer FROM retraining_decisions AS decision
  WHERE decision.model = models.model AND run_id IS NOT NULL ORDER BY id DESC LIMIT 1
) AS latest ON true ORDER BY model`;
