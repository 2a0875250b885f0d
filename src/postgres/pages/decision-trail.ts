import type pg from "pg";
import type { AuditRow } from "../audit.ts";
import { REQUEST_OF } from "../interventions.ts";

/** A step of a dispatch: a request, a response, a change of the training. */
export interface DispatchStep {
  /** ISO 8601. */
  at: string;
  state: string;
  /** Whether a request to the trainer began with it. */
  isRequest: boolean;
  status: string | null;
  conclusion: string | null;
  error: string | null;
}

/** What followed a decision. Times are ISO 8601. */
export interface DecisionTrail {
  /** The oldest first. */
  steps: DispatchStep[];
  /** The request for an approval that it made or waited for; null if it has none. */
  approval: {
    decisionId: number;
    state: string;
    requestedAt: string;
    expiresAt: string;
    by: string | null;
    reason: string | null;
    isOpen: boolean;
    /** The decision that used it, or no longer needed it. */
    settledBy: number | null;
  } | null;
  /** What people did about it, without what they were refused, the oldest first. */
  audit: Pick<AuditRow, "at" | "actor" | "role" | "action" | "result" | "detail">[];
}

/** Reads what followed a decision. */
export function createDecisionTrail({ pool }: { pool: pg.Pool }) {
  return {
    /** What followed a decision. @param targets The names under which the audit knows it. */
    async readTrail(decisionId: number, targets: readonly string[]): Promise<DecisionTrail> {
      const { rows } = await pool.query<DecisionTrail>(READ_TRAIL, [decisionId, targets]);
      return rows[0] ?? { steps: [], approval: null, audit: [] };
    },
  };
}

const READ_TRAIL = `
SELECT COALESCE((SELECT json_agg(json_build_object('at', at, 'state', state, 'isRequest', is_request, 'status', status,
    'conclusion', conclusion, 'error', error) ORDER BY id) FROM (
    SELECT * FROM retraining_dispatch_steps WHERE decision_id = $1 ORDER BY id DESC LIMIT 100) AS newest), '[]') AS steps,
  (SELECT json_build_object('decisionId', decision_id, 'state', state, 'requestedAt', requested_at, 'expiresAt', expires_at,
    'by', answered_by, 'reason', reason, 'isOpen', state = 'open' AND expires_at > now(), 'settledBy', settled_by) FROM retraining_approvals
    WHERE id = COALESCE((SELECT id FROM retraining_approvals WHERE settled_by = $1 AND state = 'used' LIMIT 1), (${REQUEST_OF}))) AS approval,
  COALESCE((SELECT json_agg(json_build_object('at', at, 'actor', actor, 'role', role, 'action', action,
    'result', result, 'detail', detail) ORDER BY id) FROM (
    SELECT * FROM retrigger_audit WHERE target = ANY($2::text[]) AND result IS DISTINCT FROM 'refused'
    ORDER BY id DESC LIMIT 100) AS newest), '[]') AS audit`;
