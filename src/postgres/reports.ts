import type pg from "pg";
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
      const rows = checks.map(
        ({
          feature,
          score = null,
          threshold = null,
          triggered,
          samples = null,
          checkedAt,
          notes = null,
        }) => ({
          feature,
          score,
          threshold,
          triggered: triggered ?? (score !== null && threshold !== null && score > threshold),
          samples,
          notes,
          checked_at: checkedAt ? toInstant(checkedAt) : null,
        }),
      );
      const { rowCount } = await pool.query(SAVE_CHECKS, [model, JSON.stringify(rows), runId, source]);
      return rowCount ?? 0;
    },

    /** Saves that rows have arrived. Returns whether it is new: the same report twice counts once. */
    async saveGrowth(model: string, { rows, batch, id, at }: ReportedGrowth): Promise<boolean> {
      const arrivedAt = at ? toInstant(at) : null;
      const { rowCount } = await pool.query(SAVE_GROWTH, [model, rows, batch ?? null, id ?? null, arrivedAt]);
      return rowCount === 1;
    },
  };
}

const SAVE_CHECKS = `
INSERT INTO retraining_reported_checks (model, feature, score, threshold, triggered, samples, notes, checked_at,
  run_id, source)
SELECT $1, feature, score, threshold, triggered, samples, notes, COALESCE(checked_at, now()), $3, $4
FROM json_to_recordset($2::json) AS reported (feature text, score float8, threshold float8, triggered boolean,
  samples bigint, notes text, checked_at timestamptz)
ON CONFLICT (model, run_id, feature) DO NOTHING`;

const SAVE_GROWTH = `
INSERT INTO retraining_reported_growth (model, rows, batch, report_id, arrived_at)
VALUES ($1, $2, $3, $4, COALESCE($5::timestamptz, now()))
ON CONFLICT (model, report_id) DO NOTHING`;
