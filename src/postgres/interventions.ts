import type pg from "pg";
import { approval } from "../core/guards/approval.ts";
import { snooze } from "../core/guards/snooze.ts";

/** A snooze as recorded. */
export interface Snooze {
  /** ISO 8601. */
  until: string;
}

/** Whether an approval was answered, or why not. */
export type AnswerResult =
  | { outcome: "answered"; model: string; decisionId: number }
  | { outcome: "unknown" }
  | { outcome: "closed"; state: string; by: string | null };

/** How long a forced decision may be on its way. */
const OVERRIDE_SECONDS = 900;

/** Records what people decide about models: snoozes, approvals and overrides. */
export function createInterventionStore({ pool }: { pool: pg.Pool }) {
  return {
    /** Snoozes a model from now on, by the database's clock. Replaces a snooze that holds. */
    async saveSnooze(snoozed: {
      model: string;
      forSeconds: number;
      reason: string;
      by: string;
    }): Promise<Snooze> {
      const { model, forSeconds, reason, by } = snoozed;
      const { rows } = await pool.query<Snooze>(SAVE_SNOOZE, [model, forSeconds, reason, by]);
      return rows[0] as Snooze;
    },

    /** Ends a model's snooze. Returns whether there was one. */
    async endSnooze(model: string, by: string): Promise<boolean> {
      const { rowCount } = await pool.query(
        `UPDATE retraining_snoozes SET ended_at = now(), ended_by = $2
         WHERE model = $1 AND ended_at IS NULL AND until > now()`,
        [model, by],
      );
      return (rowCount ?? 0) > 0;
    },

    /** Approves or rejects the open request that a decision made or waited for. */
    async answerApproval(answer: {
      decisionId: number;
      state: "approved" | "rejected";
      by: string;
      reason: string;
    }): Promise<AnswerResult> {
      const { decisionId, state, by, reason } = answer;
      const { rows } = await pool.query<{ model: string; decisionId: number }>(ANSWER_APPROVAL, [
        decisionId,
        state,
        by,
        reason,
      ]);
      if (rows[0]) return { outcome: "answered", ...rows[0] };
      const found = await pool.query<{ state: string; by: string | null }>(FIND_APPROVAL, [decisionId]);
      return found.rows[0] ? { outcome: "closed", ...found.rows[0] } : { outcome: "unknown" };
    },

    /** Lets the next decision of a model, if it is made soon, pass its guards. Returns the override's id. */
    async saveOverride(override: { model: string; by: string; reason: string }): Promise<string> {
      const { rows } = await pool.query<{ id: string }>(
        "INSERT INTO retraining_overrides (model, forced_by, reason) VALUES ($1, $2, $3) RETURNING id",
        [override.model, override.by, override.reason],
      );
      return rows[0]?.id ?? "";
    },

    /** Withdraws an override that no decision has used. */
    async dropOverride(id: string): Promise<void> {
      await pool.query("DELETE FROM retraining_overrides WHERE id = $1 AND decision_id IS NULL", [id]);
    },

    /** Whether the model's latest decision was held back by a code, such as `snoozed`. */
    async isHeldBy(model: string, code: string): Promise<boolean> {
      const { rows } = await pool.query<{ isHeld: boolean }>(
        `SELECT COALESCE($2 = ANY(reason_codes), false) AS "isHeld" FROM retraining_decisions
         WHERE model = $1 AND run_id IS NOT NULL ORDER BY id DESC LIMIT 1`,
        [model, code],
      );
      return rows[0]?.isHeld ?? false;
    },
  };
}

/** What people decided about a model, as JSON for the evidence. @param model The placeholder of its name. */
export function describeInterventions(model: string): string {
  return `json_build_object(
  'snooze', (SELECT json_build_object('until', until, 'reason', reason, 'by', snoozed_by) FROM retraining_snoozes
    WHERE model = ${model} AND ended_at IS NULL AND until > now() ORDER BY until DESC LIMIT 1),
  'approval', (SELECT json_build_object('decisionId', decision_id, 'state', state, 'requestedAt', requested_at,
      'expiresAt', expires_at, 'answeredAt', answered_at, 'by', answered_by, 'reason', reason) FROM retraining_approvals
    WHERE model = ${model} ORDER BY id DESC LIMIT 1),
  'override', (SELECT json_build_object('id', id, 'by', forced_by, 'reason', reason) FROM retraining_overrides
    WHERE model = ${model} AND decision_id IS NULL AND created_at > now() - interval '${OVERRIDE_SECONDS} seconds'
    ORDER BY id DESC LIMIT 1))`;
}

/** Whether people released the latest decision named `latest`: an ended snooze, or an answered request for an approval. */
export const IS_RELEASED = `('${snooze.reason}' = ANY(latest.reason_codes) AND latest.taken_at < now() - interval '5 seconds'
    AND NOT EXISTS (SELECT FROM retraining_snoozes WHERE model = models.model AND ended_at IS NULL AND until > now())
  OR '${approval.reason}' = ANY(latest.reason_codes) AND latest.taken_at < now() - interval '5 seconds'
    AND EXISTS (SELECT FROM retraining_approvals WHERE model = models.model AND answered_at > latest.taken_at
      AND answered_at < now() - interval '5 seconds'))`;

const SAVE_SNOOZE = `
WITH replaced AS (
  UPDATE retraining_snoozes SET ended_at = now(), ended_by = $4 WHERE model = $1 AND ended_at IS NULL AND until > now()
)
INSERT INTO retraining_snoozes (model, until, reason, snoozed_by)
VALUES ($1, date_trunc('second', now() + make_interval(secs => $2)), $3, $4)
RETURNING to_json(until) #>> '{}' AS until`;

/** The request of the decision $1 itself, or the one that was open when it was made. */
export const REQUEST_OF = `SELECT request.id FROM retraining_decisions AS decision
  JOIN retraining_approvals AS request ON request.model = decision.model
    AND (request.decision_id = decision.id OR request.decision_id < decision.id AND '${approval.reason}' = ANY(decision.reason_codes))
  WHERE decision.id = $1 ORDER BY request.decision_id = decision.id DESC, request.id DESC LIMIT 1`;

const ANSWER_APPROVAL = `
UPDATE retraining_approvals AS approval SET state = $2, answered_at = now(), answered_by = $3, reason = $4
WHERE id = (${REQUEST_OF}) AND state = 'open' AND expires_at > now()
RETURNING model, decision_id AS "decisionId"`;

const FIND_APPROVAL = `SELECT CASE WHEN state = 'open' THEN 'expired' ELSE state END AS state, answered_by AS by
FROM retraining_approvals WHERE id = (${REQUEST_OF})`;
