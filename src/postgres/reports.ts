import type pg from "pg";
import type { OutboxJob } from "./events.ts";
import { sendStatements } from "./pool.ts";
import { toInstant } from "../../queues/jobs.ts";
import type { ReportedCheck, ReportedGrowth } from "../../queues/reports.ts";

/** Stores what detectors and pipelines report. */
export function createReportStore({ pool }: { pool: pg.Pool }) {
  return {
    /**
     * Saves the checks of a report and returns how many are new: a check that the same run reported before is kept as
     * it was.
     *
     * @param report Its drift run's id, without which each report is a new one, and its sender.
     */
    async saveChecks(
      model: string,
      checks: readonly ReportedCheck[],
      { runId, source }: { runId: string | null; source: string | null },
    ): Promise<number> {
      const { rowCount } = await pool.query(SAVE_CHECKS, [model, toRows(checks), runId, source]);
      return rowCount ?? 0;
    },

    /** The same together with a job that the inbox is to receive: either both are saved or neither. */
    async saveChecksWithJob(
      model: string,
      checks: readonly ReportedCheck[],
      { runId, source }: { runId: string | null; source: string | null },
      job: OutboxJob,
    ): Promise<number> {
      const { rows } = await pool.query<{ saved: number }>(SAVE_CHECKS_WITH_JOB, [
        model,
        toRows(checks),
        runId,
        source,
        job.id,
        job.name,
        JSON.stringify(job.data),
      ]);
      return rows[0]?.saved ?? 0;
    },

    /**
     * Saves how many rows a batch has in total: the growth is what it has more than was reported before. Returns the growth;
     * null if the batch has fewer rows than were reported.
     */
    async saveBatchSize(
      model: string,
      { rows, batch, at }: { rows: number; batch: string; at?: string | null | undefined },
    ): Promise<number | null> {
      const results = await sendStatements(pool, (client) => {
        const [name, size, own, time] = [
          model,
          String(rows),
          batch,
          at ? toInstant(at).toISOString() : "",
        ].map((value) => client.escapeLiteral(value));
        return [
          "BEGIN",
          // Of two reports at once, the second sees what the first has added.
          `SELECT pg_advisory_xact_lock(hashtextextended(${name} || chr(10) || ${own}, 0))`,
          `WITH known AS (
             SELECT COALESCE(sum(rows), 0) AS rows FROM retraining_reported_growth WHERE model = ${name} AND batch = ${own}
           ), added AS (
             INSERT INTO retraining_reported_growth (model, rows, batch, arrived_at)
             SELECT ${name}, ${size} - known.rows, ${own}, COALESCE(NULLIF(${time}, '')::timestamptz, now()) FROM known
             WHERE ${size} > known.rows
           )
           SELECT (${size} - rows)::float8 AS growth FROM known`,
          "COMMIT",
        ];
      });
      const growth = Number(results[2]?.rows[0]?.["growth"]);
      return growth < 0 ? null : growth;
    },

    /** Saves that rows have arrived. Returns whether it is new: the same report twice counts once. */
    async saveGrowth(model: string, { rows, batch, id, at }: ReportedGrowth): Promise<boolean> {
      const arrivedAt = at ? toInstant(at) : null;
      const { rowCount } = await pool.query(SAVE_GROWTH, [model, rows, batch ?? null, id ?? null, arrivedAt]);
      return rowCount === 1;
    },
  };
}

/** The rows of checks as JSON. */
function toRows(checks: readonly ReportedCheck[]): string {
  return JSON.stringify(
    checks.map((check) => {
      const {
        feature,
        score = null,
        threshold = null,
        triggered,
        samples = null,
        checkedAt,
        notes = null,
      } = check;
      return {
        feature,
        score,
        threshold,
        triggered: triggered ?? (score !== null && threshold !== null && score > threshold),
        samples,
        notes,
        checked_at: checkedAt ? toInstant(checkedAt) : null,
      };
    }),
  );
}

const SAVE_CHECKS = `
INSERT INTO retraining_reported_checks (model, feature, score, threshold, triggered, samples, notes, checked_at,
  run_id, source)
SELECT $1, feature, score, threshold, triggered, samples, notes, COALESCE(checked_at, now()), $3, $4
FROM json_to_recordset($2::json) AS reported (feature text, score float8, threshold float8, triggered boolean,
  samples bigint, notes text, checked_at timestamptz)
ON CONFLICT (model, run_id, feature) DO NOTHING`;

const SAVE_CHECKS_WITH_JOB = `
WITH saved AS (${SAVE_CHECKS} RETURNING 1), outgoing AS (
  INSERT INTO retrigger_outbox (id, name, data) VALUES ($5, $6, $7)
)
SELECT count(*)::int AS saved FROM saved`;

const SAVE_GROWTH = `
INSERT INTO retraining_reported_growth (model, rows, batch, report_id, arrived_at)
VALUES ($1, $2, $3, $4, COALESCE($5::timestamptz, now()))
ON CONFLICT (model, report_id) DO NOTHING`;
