import type pg from "pg";
import type { TrainingRow } from "./training-log.ts";

/** A decision on the time axis. */
export interface DecisionPoint {
  id: number;
  /** ISO 8601. */
  at: string;
  decision: string;
  codes: string[];
  bufferSize: number | null;
}

/** A policy of a model, and the decisions that it made. */
export interface PolicyUse {
  policyHash: string;
  policy: unknown;
  /** ISO 8601, of its first and last decision. */
  from: string;
  to: string;
  decisions: number;
}

export interface ModelHistory {
  /** The newest first. */
  decisions: DecisionPoint[];
  trainings: Pick<
    TrainingRow,
    "decisionId" | "trainer" | "state" | "requestedAt" | "endedAt" | "durationSeconds"
  >[];
}

/** How many of the newest decisions a chart shows, and how many are searched for changes of the policy. */
const SHOWN_DECISIONS = 1_000;
const SHOWN_TRAININGS = 200;

/** Reads what one model's page shows of its past. */
export function createModelHistory({ pool }: { pool: pg.Pool }) {
  return {
    /** The newest decisions and trainings of a model within so many seconds. */
    async readModelHistory(model: string, seconds: number): Promise<ModelHistory> {
      const { rows } = await pool.query<ModelHistory>(READ_HISTORY, [model, seconds]);
      return rows[0] ?? { decisions: [], trainings: [] };
    },

    /** The policies of a model's newest decisions, the newest first. */
    async listPolicies(model: string): Promise<PolicyUse[]> {
      return (await pool.query<PolicyUse>(LIST_POLICIES, [model])).rows;
    },
  };
}

const READ_HISTORY = `
SELECT COALESCE((SELECT json_agg(json_build_object('id', id, 'at', taken_at, 'decision', decision,
    'codes', COALESCE(reason_codes, '{}'), 'bufferSize', buffer_size) ORDER BY id DESC) FROM (
    SELECT id, taken_at, decision, reason_codes, buffer_size FROM retraining_decisions
    WHERE model = $1 AND taken_at > now() - make_interval(secs => $2) ORDER BY taken_at DESC LIMIT ${SHOWN_DECISIONS}
  ) AS newest), '[]') AS decisions,
  COALESCE((SELECT json_agg(json_build_object('decisionId', decision_id, 'trainer', trainer, 'state', state,
    'requestedAt', COALESCE(asked_at, created_at), 'endedAt', ended_at, 'durationSeconds', duration_seconds)
    ORDER BY decision_id DESC) FROM (
    SELECT * FROM retraining_dispatches WHERE model_name = $1
      AND COALESCE(ended_at, asked_at, created_at) > now() - make_interval(secs => $2)
    ORDER BY decision_id DESC LIMIT ${SHOWN_TRAININGS}) AS newest), '[]') AS trainings`;

const LIST_POLICIES = `
SELECT policy_hash AS "policyHash", (SELECT policy FROM retraining_decisions WHERE id = last_id) AS policy,
  to_json(first_at) #>> '{}' AS "from", to_json(last_at) #>> '{}' AS "to", decisions
FROM (
  SELECT policy_hash, spell, min(taken_at) AS first_at, max(taken_at) AS last_at, max(id) AS last_id, count(*)::int AS decisions
  FROM (
    SELECT id, taken_at, policy_hash, count(*) FILTER (WHERE is_change) OVER (ORDER BY id) AS spell FROM (
      SELECT id, taken_at, policy_hash, policy_hash IS DISTINCT FROM lag(policy_hash) OVER (ORDER BY id) AS is_change FROM (
        SELECT id, taken_at, policy_hash FROM retraining_decisions
        WHERE model = $1 AND run_id IS NOT NULL ORDER BY id DESC LIMIT ${SHOWN_DECISIONS}
      ) AS newest
    ) AS changes
  ) AS spells
  GROUP BY policy_hash, spell
) AS uses ORDER BY last_id DESC LIMIT 20`;
