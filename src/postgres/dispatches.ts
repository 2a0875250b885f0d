import type pg from "pg";

/** Whether the caller may ask the trainer now. */
export type Claim =
  /** Yes, and nobody else may from now on. */
  | "claimed"
  /** No: an earlier try asked, or was about to. */
  | "asked_before"
  /** No: the decision's evidence is older than the limit. The dispatch is cancelled, and its alerts are free again. */
  | "stale";

/** How a dispatch came out. */
export type Settlement =
  { state: "sent"; externalId: string; url: string | null } | { state: "unknown"; error: string };

/** Takes the one chance to ask the trainer for a decision's training. One round trip. */
export async function claimDispatch(
  pool: pg.Pool,
  decisionId: number,
  evidenceMaxAgeSeconds: number,
): Promise<Claim> {
  const { rows } = await pool.query<{ claim: Claim }>(CLAIM_DISPATCH, [decisionId, evidenceMaxAgeSeconds]);
  return rows[0]?.claim ?? "asked_before";
}

const CLAIM_DISPATCH = `
UPDATE retraining_dispatches AS dispatch SET updated_at = now(),
  asked_at = CASE WHEN age.is_stale THEN NULL ELSE now() END,
  state = CASE WHEN age.is_stale THEN 'cancelled' ELSE dispatch.state END,
  error = CASE WHEN age.is_stale THEN 'The trainer was not asked in time: the evidence was too old by then' END
FROM (
  SELECT id, (evidence ->> 'takenAt')::timestamptz < now() - make_interval(secs => $2) AS is_stale
  FROM retraining_decisions WHERE id = $1
) AS age
WHERE dispatch.decision_id = age.id AND dispatch.state = 'pending' AND asked_at IS NULL
RETURNING CASE WHEN age.is_stale THEN 'stale' ELSE 'claimed' END AS claim`;

/** Writes down how a dispatch came out, unless that is known already. */
export async function settleDispatch(
  pool: pg.Pool,
  decisionId: number,
  settlement: Settlement,
): Promise<void> {
  const isSent = settlement.state === "sent";
  await pool.query(
    `UPDATE retraining_dispatches SET state = $2, external_id = $3, url = $4, error = $5, updated_at = now()
           WHERE decision_id = $1 AND state IN ('pending', 'unknown')`,
    [
      decisionId,
      settlement.state,
      isSent ? settlement.externalId : null,
      isSent ? settlement.url : null,
      isSent ? null : `${settlement.error}; the trainer knows of no training under this run's id`,
    ],
  );
}
