import type pg from "pg";
import type { DispatchState } from "../core/dispatch/dispatch.ts";
import { OPEN } from "./dispatch-sql.ts";

/** A dispatch that needs a job. */
export interface OpenDispatch {
  runId: string;
  model: string;
  trainer: string;
  state: DispatchState;
}

/** How many dispatches of one model and trainer are in one state. */
export interface DispatchCount {
  model: string;
  trainer: string;
  state: DispatchState;
  count: number;
}

/** Lists and counts dispatches across models. */
export function createDispatchLists({ pool }: { pool: pg.Pool }) {
  return {
    /**
     * The unfinished dispatches, and the failed ones whose alerts are still held back, of every trainer that starts
     * trainings: also of models and trainers that only other services serve. Dispatches written in the last two seconds are
     * left out, because their jobs may be on the way to Redis.
     */
    async listOpenDispatches(): Promise<OpenDispatch[]> {
      return (await pool.query<OpenDispatch>(LIST_OPEN_DISPATCHES)).rows;
    },

    async countDispatches(): Promise<DispatchCount[]> {
      return (await pool.query<DispatchCount>(COUNT_DISPATCHES)).rows;
    },
  };
}

const LIST_OPEN_DISPATCHES = `SELECT run_id AS "runId", decision.model, dispatch.trainer, state
     FROM retraining_dispatches AS dispatch JOIN retraining_decisions AS decision ON decision.id = decision_id
     WHERE dispatch.trainer <> 'mock' AND run_id IS NOT NULL
       AND dispatch.updated_at < now() - interval '2 seconds' AND state IN (${OPEN})
     UNION ALL
     SELECT run_id, decision.model, dispatch.trainer, state
     FROM retraining_dispatches AS dispatch JOIN retraining_decisions AS decision ON decision.id = decision_id
     WHERE dispatch.trainer <> 'mock' AND run_id IS NOT NULL
       AND state IN ('failed', 'cancelled') AND ended_at > now() - interval '7 days'
       AND dispatch.updated_at < now() - interval '2 seconds'
       AND (SELECT latest.next_look_at > now() OR latest.taken_at <= dispatch.ended_at
         FROM retraining_decisions AS latest
         WHERE latest.model = decision.model AND latest.run_id IS NOT NULL ORDER BY latest.id DESC LIMIT 1)`;

const COUNT_DISPATCHES = `SELECT model, trainer, state, count::float8 AS count FROM retraining_dispatch_counts
     WHERE count > 0 ORDER BY model, trainer, state`;
