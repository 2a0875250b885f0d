import type pg from "pg";
import type { DispatchState } from "../../core/dispatch/dispatch.ts";
import { type Brought, judgeOutcome, type RecordedOutcome } from "../../core/outcome/outcome.ts";
import { listOutcomesOf } from "../outcome-sql.ts";

/** A training that a decision dispatched. Times are ISO 8601. */
export interface TrainingRow {
  decisionId: number;
  model: string;
  trainer: string;
  state: DispatchState;
  reason: string | null;
  requestedAt: string;
  startedAt: string | null;
  endedAt: string | null;
  durationSeconds: number | null;
  conclusion: string | null;
  url: string | null;
  error: string | null;
  outcomes: RecordedOutcome[];
  /** null if nothing was reported about it. */
  brought: Brought | null;
}

export interface TrainingFilter {
  model?: string | undefined;
  state?: string | undefined;
  /** Only of decisions before this one. */
  before?: number | undefined;
  limit: number;
}

/** Lists trainings across models. */
export function createTrainingLog({ pool }: { pool: pg.Pool }) {
  return {
    /** The trainings of the newest decisions, newest first. */
    async listTrainings({ model, state, before, limit }: TrainingFilter): Promise<TrainingRow[]> {
      const conditions = [
        model === undefined ? "" : "AND model_name = $2",
        state === undefined ? "" : "AND state = $3",
        before === undefined ? "" : "AND decision_id < $4",
      ];
      const text = `WITH given AS (SELECT $2::text, $3::text, $4::int)
SELECT decision_id AS "decisionId", model_name AS model, trainer, state, reason_code AS reason,
  to_json(COALESCE(asked_at, created_at)) #>> '{}' AS "requestedAt", to_json(started_at) #>> '{}' AS "startedAt",
  to_json(ended_at) #>> '{}' AS "endedAt", duration_seconds AS "durationSeconds", conclusion, url, error,
  ${listOutcomesOf("dispatch.decision_id")} AS outcomes
FROM retraining_dispatches AS dispatch WHERE true ${conditions.join(" ")} ORDER BY decision_id DESC LIMIT $1`;
      const values = [limit, model ?? null, state ?? null, before ?? null];
      const { rows } = await pool.query<Omit<TrainingRow, "brought">>(text, values);
      return rows.map((row) => ({
        ...row,
        brought: row.outcomes.length === 0 ? null : judgeOutcome(row.outcomes),
      }));
    },
  };
}
