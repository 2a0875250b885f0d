import type pg from "pg";
import { type Cancellation, CANCELLATIONS } from "../core/dispatch/dispatch.ts";
import { OPEN, SELECT_RECORD } from "./dispatch-sql.ts";
import { type DispatchRecord, type DispatchRow, toRecord } from "./dispatches.ts";
import { sendStatements } from "./pool.ts";

/** Whether the caller may send the request, and the dispatch as it is after the claim. */
export type Claim =
  /** Yes, and no other process may from now on. */
  | { outcome: "claimed"; record: DispatchRecord }
  /** No: an earlier attempt sent it or was about to, or it was cancelled, by this claim or before. */
  | { outcome: "refused"; record: DispatchRecord };

export interface DispatchClaimOptions {
  pool: pg.Pool;
  /** Evidence older than this, by the database's clock, is not acted on. */
  evidenceMaxAgeSeconds: number;
}

/** Decides which caller may send a decision's request. */
export function createDispatchClaims({ pool, evidenceMaxAgeSeconds }: DispatchClaimOptions) {
  return {
    /**
     * Claims the right to request a decision's training, which is granted only once. This is the last check before the
     * request. It stops a decision whose evidence has become outdated (a rejected decision that is retried, or one recorded
     * at the same time as another) if another training has been requested since. One round trip; claims for one model are
     * serialized.
     */
    async claimDispatch(decisionId: number): Promise<Claim> {
      const results = await sendStatements(pool, () => [
        "BEGIN",
        `SELECT pg_advisory_xact_lock(hashtext('retrigger dispatch'), hashtext(model)) FROM retraining_decisions WHERE id = ${decisionId}`,
        // Its snapshot is taken once the lock is held, so it sees everything that earlier holders committed.
        buildClaim(decisionId, evidenceMaxAgeSeconds),
        `${SELECT_RECORD} WHERE decision_id = ${decisionId}`,
        "COMMIT",
      ]);
      const record = toRecord(results[3]?.rows[0] as DispatchRow | undefined);
      if (!record) throw new Error(`decision ${decisionId} has no dispatch`);
      const isClaimed = results[2]?.rows[0]?.["claim"] === "claimed";
      return { outcome: isClaimed ? "claimed" : "refused", record };
    },

    /**
     * The newest other decision of the model that has requested a training since this decision's evidence was gathered, so
     * that a retry would train twice; null if there is none. For messages only: the claim checks again.
     */
    async findLaterRequest(decisionId: number): Promise<number | null> {
      const { rows } = await pool.query<{ id: number | null }>(
        `SELECT max(other.decision_id) AS id FROM retraining_decisions AS decision
     JOIN retraining_dispatches AS other ON ${IS_RIVAL} WHERE decision.id = $1`,
        [decisionId],
      );
      return rows[0]?.id ?? null;
    },
  };
}

/** Whether a guard is on in the decision's policy; in that of an earlier version, by its flat key. */
function isGuardOn(flatKey: string, key: string): string {
  return `COALESCE((decision.policy ->> '${flatKey}')::boolean, decision.policy #>> '{guards,${key}}' IS DISTINCT FROM 'off')`;
}

/** Whether the row `other` is a later request for the model to which the guards of `decision` object. */
const IS_RIVAL = `other.model_name = decision.model AND other.decision_id <> decision.id AND other.trainer <> 'mock'
  AND other.asked_at > decision.taken_at
  AND (${isGuardOn("inFlightGuard", "trainingInFlight")} AND other.state IN (${OPEN})
    OR ${isGuardOn("retriggerGuard", "alreadyActedOn")} AND other.state IN (${OPEN}, 'succeeded')
      AND EXISTS (SELECT FROM retraining_decisions AS theirs
        WHERE theirs.id = other.decision_id AND theirs.alert_ids && decision.alert_ids))`;

function buildClaim(decisionId: number, evidenceMaxAgeSeconds: number): string {
  const errors: [Cancellation, string][] = [
    ["evidence_too_old", CANCELLATIONS.evidence_too_old],
    ["training_requested", CANCELLATIONS.training_requested],
  ];
  return `
WITH decision AS (
  SELECT id, model, alert_ids, taken_at, policy FROM retraining_decisions WHERE id = ${decisionId}
), judged AS (
  SELECT id, CASE
    WHEN taken_at < now() - make_interval(secs => ${evidenceMaxAgeSeconds}) THEN 'evidence_too_old'
    WHEN EXISTS (SELECT FROM retraining_dispatches AS other WHERE ${IS_RIVAL}
    ) THEN 'training_requested'
    ELSE 'claimed' END AS verdict
  FROM decision
)
UPDATE retraining_dispatches AS dispatch SET updated_at = now(), version = version + 1,
  asked_at = CASE WHEN verdict = 'claimed' THEN now() END,
  state = CASE WHEN verdict = 'claimed' THEN dispatch.state ELSE 'cancelled' END,
  reason_code = CASE WHEN verdict <> 'claimed' THEN verdict END,
  error = CASE verdict ${errors.map(([code, text]) => `WHEN '${code}' THEN '${text}'`).join(" ")} END
FROM judged
WHERE dispatch.decision_id = judged.id AND dispatch.state = 'pending' AND asked_at IS NULL
RETURNING verdict AS claim`;
}
