import type pg from "pg";
import { type DispatchOutcome, UNASKED } from "../core/training.ts";
import { sendStatements } from "./pool.ts";

/** Whether the caller may ask the trainer now. */
export type Claim =
  /** Yes, and nobody else may from now on. */
  | { outcome: "claimed" }
  /** No: an earlier try asked, or was about to, so long ago by the database's clock. */
  | { outcome: "asked_before"; agoMs: number }
  /** No: its evidence is too old, or does not know of a training that was asked for since. It is cancelled. */
  | { outcome: keyof typeof UNASKED };

/**
 * Takes the one chance to ask the trainer for a decision's training. This is the last gate before a request: no decision
 * that was let through by an old view of things (a refused one that a person retries, one that was recorded while that
 * happened) passes it where a training was asked for since. One round trip; claims about one model take turns.
 */
export async function claimDispatch(
  pool: pg.Pool,
  decisionId: number,
  evidenceMaxAgeSeconds: number,
): Promise<Claim> {
  const results = await sendStatements(pool, [
    "BEGIN",
    `SELECT pg_advisory_xact_lock(hashtext('retrigger dispatch'), hashtext(model)) FROM retraining_decisions WHERE id = ${decisionId}`,
    // Sees what was committed before it begins: all that those did who had the lock before.
    buildClaim(decisionId, evidenceMaxAgeSeconds),
    "COMMIT",
  ]);
  const row = results[2]?.rows[0] as { claim: Claim["outcome"]; agoMs: number | null } | undefined;
  const { claim = "asked_before", agoMs = 0 } = row ?? {};
  return claim === "asked_before" ? { outcome: claim, agoMs: agoMs ?? 0 } : { outcome: claim };
}

function buildClaim(decisionId: number, evidenceMaxAgeSeconds: number): string {
  return `
WITH decision AS (
  SELECT id, model, alert_ids, (evidence ->> 'takenAt')::timestamptz AS taken_at,
    COALESCE((policy ->> 'retriggerGuard')::boolean, true) AS guards_alerts,
    COALESCE((policy ->> 'inFlightGuard')::boolean, true) AS guards_flight
  FROM retraining_decisions WHERE id = ${decisionId}
), judged AS (
  SELECT id, CASE
    WHEN taken_at < now() - make_interval(secs => ${evidenceMaxAgeSeconds}) THEN 'stale'
    WHEN EXISTS (
      SELECT FROM retraining_dispatches AS other JOIN retraining_decisions AS theirs ON theirs.id = other.decision_id
      WHERE theirs.model = decision.model AND theirs.id <> decision.id AND other.trainer <> 'mock'
        AND other.asked_at > decision.taken_at
        AND (guards_flight AND other.state IN ('pending', 'sent', 'unknown', 'running')
          OR guards_alerts AND other.state IN ('pending', 'sent', 'unknown', 'running', 'succeeded')
            AND theirs.alert_ids && decision.alert_ids)
    ) THEN 'answered'
    ELSE 'claimed' END AS verdict
  FROM decision
), claimed AS (
  UPDATE retraining_dispatches AS dispatch SET updated_at = now(),
    asked_at = CASE WHEN verdict = 'claimed' THEN now() END,
    state = CASE WHEN verdict = 'claimed' THEN dispatch.state ELSE 'cancelled' END,
    error = CASE verdict WHEN 'stale' THEN '${UNASKED.stale}' WHEN 'answered' THEN '${UNASKED.answered}' END
  FROM judged
  WHERE dispatch.decision_id = judged.id AND dispatch.state = 'pending' AND asked_at IS NULL
  RETURNING verdict AS claim
)
SELECT claim, NULL::float8 AS "agoMs" FROM claimed
UNION ALL
SELECT 'asked_before', extract(epoch FROM now() - asked_at)::float8 * 1000 FROM retraining_dispatches
WHERE decision_id = ${decisionId} AND NOT EXISTS (SELECT FROM claimed)`;
}

/**
 * Writes down why a dispatch is not settled yet. One that was not asked for (the request never arrived, or was refused for
 * now) may be asked for again.
 */
export async function postponeDispatch(
  pool: pg.Pool,
  decisionId: number,
  { error, wasAsked }: { error: string; wasAsked: boolean },
): Promise<void> {
  await pool.query(
    `UPDATE retraining_dispatches SET asked_at = CASE WHEN $3 THEN asked_at END, error = $2, updated_at = now()
     WHERE decision_id = $1 AND state = 'pending'`,
    [decisionId, error, wasAsked],
  );
}

/** How asking came out. */
export type Settlement =
  | { state: "sent"; externalId: string | null; url: string | null; statusUrl: string | null }
  | {
      state: "unknown" | "rejected";
      error: string;
    };

/**
 * Writes down how asking came out, and answers how the dispatch stands then. Where others told of the training before, that
 * stands, and only what they did not tell is added.
 */
export async function settleDispatch(
  pool: pg.Pool,
  decisionId: number,
  settlement: Settlement,
): Promise<DispatchOutcome> {
  const isSent = settlement.state === "sent";
  const training = isSent ? settlement : { externalId: null, url: null, statusUrl: null };
  const { rows } = await pool.query<DispatchOutcome>(
    `WITH settled AS (
       UPDATE retraining_dispatches SET
         state = CASE WHEN state IN ('pending', 'unknown') THEN $2 ELSE state END,
         external_id = COALESCE(external_id, $3), url = COALESCE(url, $4), status_url = COALESCE(status_url, $5),
         error = CASE WHEN state IN ('pending', 'unknown') THEN $6 ELSE error END,
         heard_at = CASE WHEN $2 = 'sent' THEN now() ELSE heard_at END, updated_at = now()
       WHERE decision_id = $1 AND (state IN ('pending', 'unknown') OR $2 = 'sent')
       RETURNING *
     )
     SELECT ${OUTCOME_COLUMNS} FROM settled
     UNION ALL
     SELECT ${OUTCOME_COLUMNS} FROM retraining_dispatches WHERE decision_id = $1 AND NOT EXISTS (SELECT FROM settled)`,
    [
      decisionId,
      settlement.state,
      training.externalId,
      training.url,
      training.statusUrl,
      isSent ? null : settlement.error,
    ],
  );
  if (!rows[0]) throw new Error(`decision ${decisionId} has no dispatch`);
  return rows[0];
}

const OUTCOME_COLUMNS = `state, external_id AS "externalId", url, error, to_json(asked_at) #>> '{}' AS "askedAt"`;

/** What came of a person's word about a dispatch. */
export type Reopening = { outcome: "reopened" } | { outcome: "refused"; why: string };

/**
 * Lets a dispatch in the given state be asked for again, at a person's word, unless a training for its alerts was asked for
 * by another decision. (The claim looks again; this is for the person to be told.)
 */
export async function reopenDispatch(
  pool: pg.Pool,
  runId: string,
  from: "rejected" | "unknown",
): Promise<Reopening> {
  const { rows } = await pool.query<{ state: string; otherId: number | null; isReopened: boolean }>(
    `WITH found AS (
       SELECT decision_id, state, (
         SELECT max(theirs.id) FROM retraining_decisions AS theirs
         JOIN retraining_dispatches AS other ON other.decision_id = theirs.id
         WHERE theirs.model = decision.model AND theirs.id <> decision.id AND other.trainer <> 'mock'
           AND other.asked_at > (decision.evidence ->> 'takenAt')::timestamptz
           AND other.state IN ('pending', 'sent', 'unknown', 'running', 'succeeded')) AS other_id
       FROM retraining_decisions AS decision JOIN retraining_dispatches AS dispatch ON decision_id = decision.id
       WHERE run_id = $1
     ), reopened AS (
       UPDATE retraining_dispatches AS dispatch SET state = 'pending', asked_at = NULL, error = NULL, updated_at = now()
       FROM found WHERE dispatch.decision_id = found.decision_id AND dispatch.state = $2 AND other_id IS NULL
       RETURNING dispatch.decision_id
     )
     SELECT state, other_id AS "otherId", EXISTS (SELECT FROM reopened) AS "isReopened" FROM found`,
    [runId, from],
  );
  const { state, otherId = null, isReopened = false } = rows[0] ?? {};
  if (isReopened) return { outcome: "reopened" };
  const why =
    state === from && otherId !== null
      ? `Decision #${otherId} has asked for a training since: another one would be the second for the same alerts`
      : `The dispatch is ${state ?? "gone"}, not ${from}`;
  return { outcome: "refused", why };
}

/** Says, at a person's word, which training a dispatch started of which that is not known. */
export async function confirmDispatch(pool: pg.Pool, runId: string, externalId: string): Promise<Reopening> {
  const { rowCount } = await pool.query(
    `UPDATE retraining_dispatches AS dispatch SET state = 'sent', external_id = $2, error = NULL, heard_at = now(),
       updated_at = now()
     FROM retraining_decisions AS decision
     WHERE decision.id = decision_id AND run_id = $1 AND asked_at IS NOT NULL
       AND (state = 'unknown' OR (state IN ('pending', 'sent') AND external_id IS NULL))`,
    [runId, externalId],
  );
  return rowCount === 1
    ? { outcome: "reopened" }
    : { outcome: "refused", why: "There is nothing to confirm: it is known what became of this dispatch" };
}
