import type pg from "pg";

/** One line of `retrigger history` and of the decisions page. */
export interface DecisionRow {
  id: number;
  runId: string | null;
  model: string;
  cause: string | null;
  /** ISO 8601; null if the DAG's row has none. */
  decidedAt: string | null;
  decision: string | null;
  reason: string | null;
  bufferSize: number | null;
  driftScore: number | null;
  notes: string | null;
  /** State and page of the training that it dispatched. */
  dispatch: string | null;
  url: string | null;
}

/** Lists recorded decisions. @param timeZone IANA zone of `decision_date`. */
export function createDecisionLog({ pool, timeZone }: { pool: pg.Pool; timeZone: string }) {
  return {
    /** The newest decisions, newest first; of all models if `model` is null. */
    async listDecisions({ model, limit }: { model: string | null; limit: number }): Promise<DecisionRow[]> {
      return (await pool.query<DecisionRow>(LIST_DECISIONS, [model, limit, timeZone])).rows;
    },
  };
}

const LIST_DECISIONS = `SELECT decision.id, run_id AS "runId", model, cause, to_json(decision_date AT TIME ZONE $3) #>> '{}' AS "decidedAt",
       decision, reason, buffer_size::float8 AS "bufferSize", drift_score AS "driftScore", notes, dispatch.state AS dispatch,
       dispatch.url
     FROM retraining_decisions AS decision
     LEFT JOIN retraining_dispatches AS dispatch ON dispatch.decision_id = decision.id
     WHERE $1::text IS NULL OR model = $1
     ORDER BY decision.id DESC LIMIT $2`;
