import type pg from "pg";
import type { LatestDecision } from "../core/dispatch/effects.ts";
import { trainingInFlight } from "../core/guards/training-in-flight.ts";
import type { Policy } from "../core/policy.ts";
import { hashPolicy } from "./canonical-hash.ts";
import { waitFor } from "./decision-sql.ts";
import { OPEN } from "./dispatch-sql.ts";
import { IS_RELEASED } from "./interventions.ts";

/** What the reconciler has to restore or to make up for, because Redis lost it or a process died. */
export interface ModelState {
  model: string;
  /** The latest decision, if it schedules a next evaluation. */
  nextLook: { decisionId: number; waitMs: number } | null;
  /**
   * Whether the model should have been re-evaluated by now: its next evaluation is overdue, the training that held it back has
   * ended, its dispatch was cancelled before the request, its policy has changed since, or drift runs are expected of it and
   * no decision says until when.
   */
  isOverdue: boolean;
  /** Whether no decision about it was ever made. */
  isNew: boolean;
  /** Runs of events that no decision covers. */
  openRunIds: string[];
}

/** The settings of a model that decide what is due. */
interface StateConfig {
  policy: Policy;
  expectDriftRunEveryMs: number | null;
}

/** Reads the latest decision of models, and what has to happen next. */
export function createModelStateStore({ pool }: { pool: pg.Pool }) {
  return {
    /** What the end of a training needs to know about a model's latest decision; null if there is none. */
    async readLatestDecision(model: string): Promise<LatestDecision | null> {
      return (await pool.query<LatestDecision>(READ_LATEST, [model])).rows[0] ?? null;
    },

    /**
     * The models that need something done. Changes of the last two seconds are left out, because their jobs may be on the
     * way to Redis; an evaluation is overdue after a minute. The time it takes grows with the number of models, not of events
     * or decisions.
     *
     * @param models By their names; null for one that the settings no longer name.
     */
    async listModelStates(models: ReadonlyMap<string, StateConfig | null>): Promise<ModelState[]> {
      const configs = [...models.values()];
      const { rows } = await pool.query<ModelState>(LIST_MODEL_STATES, [
        [...models.keys()],
        configs.map((config) => config && hashPolicy(config.policy)),
        configs.map((config) => config !== null && config.expectDriftRunEveryMs !== null),
      ]);
      return rows;
    },
  };
}

const READ_LATEST = `SELECT floor(extract(epoch FROM taken_at) * 1000)::float8 AS "takenAt",
       COALESCE('${trainingInFlight.reason}' = ANY(reason_codes), false) AS "isHeldByTraining"
     FROM retraining_decisions WHERE model = $1 AND run_id IS NOT NULL ORDER BY id DESC LIMIT 1`;

const LIST_MODEL_STATES = `
SELECT models.model, CASE WHEN next_look_at IS NOT NULL THEN json_build_object('decisionId', latest.id,
    'waitMs', ${waitFor("next_look_at")}) END AS "nextLook",
  is_overdue AS "isOverdue", latest.id IS NULL AS "isNew", COALESCE(open.run_ids, '{}') AS "openRunIds"
FROM unnest($1::text[], $2::text[], $3::boolean[]) AS models (model, policy_hash, expects_drift_runs)
LEFT JOIN LATERAL (
  SELECT id, next_look_at, taken_at, reason_codes, decision_date, policy_hash, explanation FROM retraining_decisions AS decision
  WHERE decision.model = models.model AND run_id IS NOT NULL ORDER BY id DESC LIMIT 1
) AS latest ON true
LEFT JOIN LATERAL (
  SELECT COALESCE(latest.next_look_at < now() - interval '1 minute', false)
    OR latest.taken_at < now() - interval '5 seconds' AND '${trainingInFlight.reason}' = ANY(latest.reason_codes)
      AND NOT EXISTS (SELECT FROM retraining_dispatches WHERE model_name = models.model AND trainer <> 'mock'
        AND state IN (${OPEN}))
    OR EXISTS (SELECT FROM retraining_dispatches WHERE decision_id = latest.id AND state = 'cancelled'
      AND reason_code IS NOT NULL AND updated_at < now() - interval '5 seconds')
    OR COALESCE(latest.policy_hash <> models.policy_hash AND latest.taken_at < now() - interval '5 seconds', false)
    OR models.expects_drift_runs AND latest.explanation #>> '{driftRuns,state}' IS NULL
    OR COALESCE(${IS_RELEASED}, false) AS is_overdue
) AS due ON true
LEFT JOIN LATERAL (
  SELECT array_agg(DISTINCT run_id) AS run_ids FROM (
    SELECT run_id FROM retraining_events AS event
    WHERE event.model = models.model AND decision_id IS NULL AND outcome <> 'drift_run_failed'
      AND received_at > COALESCE(latest.taken_at, '-infinity') AND received_at < now() - interval '2 seconds'
    ORDER BY received_at LIMIT 100
  ) AS uncovered
) AS open ON true
WHERE next_look_at IS NOT NULL OR is_overdue OR open.run_ids IS NOT NULL`;
