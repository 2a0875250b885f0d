import type pg from "pg";
import type { DispatchRequest } from "../core/dispatch-request.ts";
import { type DispatchOutcome, type DispatchState, UNASKED } from "../core/training.ts";

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
  // One text of several statements is one message; each sees what was committed before it began, the claim thus all that
  // those did who had the lock before.
  const text = `BEGIN;
    SELECT pg_advisory_xact_lock(hashtext('retrigger dispatch'), hashtext(model)) FROM retraining_decisions WHERE id = ${decisionId};
    ${buildClaim(decisionId, evidenceMaxAgeSeconds)};
    COMMIT`;
  const client = await pool.connect();
  try {
    const results = (await client.query(text)) as unknown as pg.QueryResult<{
      claim: Claim["outcome"];
      agoMs: number | null;
    }>[];
    client.release();
    const { claim = "asked_before", agoMs } = results[2]?.rows[0] ?? {};
    return claim === "asked_before" ? { outcome: claim, agoMs: agoMs ?? 0 } : { outcome: claim };
  } catch (error) {
    // The failed transaction may still be open: the connection goes with it.
    client.release(true);
    throw error;
  }
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

/** A dispatch as whoever follows it needs it. Times as ages on the database's clock. */
export interface FollowedDispatch extends DispatchOutcome {
  decisionId: number;
  runId: string;
  model: string;
  trainer: string;
  request: DispatchRequest;
  statusUrl: string | null;
  status: string | null;
  conclusion: string | null;
  attempt: number | null;
  extraRuns: string[];
  durationSeconds: number | null;
  askedAgoMs: number | null;
  heardAgoMs: number | null;
  endedAgoMs: number | null;
  /** How often a training of its alerts has failed, this one included. */
  failures: number;
  /** Whether a later decision would have triggered, had this training not been under way. */
  keptOthersWaiting: boolean;
}

const FOLLOWED = `
SELECT decision_id AS "decisionId", run_id AS "runId", model, dispatch.trainer, request, state, external_id AS "externalId",
  url, error, to_json(asked_at) #>> '{}' AS "askedAt", status_url AS "statusUrl", status, conclusion, run_attempt AS attempt, extra_runs AS "extraRuns",
  duration_seconds AS "durationSeconds",
  ${ageInMs("asked_at")} AS "askedAgoMs", ${ageInMs("heard_at")} AS "heardAgoMs", ${ageInMs("ended_at")} AS "endedAgoMs",
  (SELECT count(*)::integer FROM retraining_decisions AS other JOIN retraining_dispatches AS failed ON failed.decision_id = other.id
   WHERE other.model = decision.model AND other.trainer = decision.trainer AND other.decision = 'trigger'
     AND failed.state IN ('failed', 'cancelled') AND failed.ended_at IS NOT NULL
     AND other.id <= decision.id AND other.alert_ids && decision.alert_ids) AS failures,
  EXISTS (SELECT FROM retraining_decisions AS later
    WHERE later.model = decision.model AND later.id > decision.id AND later.reason LIKE '%training_in_flight%') AS "keptOthersWaiting"
FROM retraining_dispatches AS dispatch JOIN retraining_decisions AS decision ON decision.id = decision_id`;

function ageInMs(column: string): string {
  return `extract(epoch FROM now() - dispatch.${column})::float8 * 1000`;
}

/** The dispatch of a run; null where it has none. */
export async function readDispatch(pool: pg.Pool, runId: string): Promise<FollowedDispatch | null> {
  const { rows } = await pool.query<FollowedDispatch>(`${FOLLOWED} WHERE run_id = $1`, [runId]);
  return rows[0] ?? null;
}

/** The dispatch of a decision, by its number or its run's id; null where it has none. */
export async function findDispatch(pool: pg.Pool, id: string): Promise<FollowedDispatch | null> {
  const { rows } = await pool.query<FollowedDispatch>(
    `${FOLLOWED} WHERE decision.id::text = $1 OR run_id::text = $1`,
    [id],
  );
  return rows[0] ?? null;
}

/** What became known of a training. */
export interface Progress {
  state: DispatchState;
  status: string | null;
  conclusion: string | null;
  attempt: number | null;
  externalId: string | null;
  url: string | null;
  durationSeconds: number | null;
  error: string | null;
}

/**
 * Writes down how a training stands. An end stands, unless it was taken for lost, or a later attempt of it follows; a
 * dispatch that was not asked for has no training. Answers whether it was written.
 */
export async function recordProgress(
  pool: pg.Pool,
  runId: string,
  { state, status, conclusion, attempt, externalId, url, durationSeconds, error }: Progress,
): Promise<boolean> {
  const { rowCount } = await pool.query(
    `UPDATE retraining_dispatches AS dispatch SET state = $2, status = $3, conclusion = $4,
       run_attempt = COALESCE($5::integer, run_attempt), external_id = COALESCE($6, external_id), url = COALESCE($7, url),
       duration_seconds = $8, error = $9, heard_at = now(), updated_at = now(),
       started_at = COALESCE(started_at, CASE WHEN $2 <> 'sent' THEN now() END),
       ended_at = CASE WHEN $2 IN ('succeeded', 'failed', 'cancelled') THEN now() END
     FROM retraining_decisions AS decision
     WHERE decision.id = decision_id AND decision.run_id = $1 AND asked_at IS NOT NULL
       AND (state IN ('pending', 'sent', 'unknown', 'running')
         OR (state = 'failed' AND conclusion = 'lost')
         OR (state IN ('failed', 'cancelled') AND $5::integer > COALESCE(run_attempt, 0)))`,
    [runId, state, status, conclusion, attempt, externalId, url, durationSeconds, error],
  );
  return rowCount === 1;
}

/** Writes down which of several runs of one request trains, and which are too many. */
export async function recordExtraRuns(
  pool: pg.Pool,
  runId: string,
  { externalId, url, extraRuns }: { externalId: string; url: string | null; extraRuns: string[] },
): Promise<void> {
  await pool.query(
    `UPDATE retraining_dispatches SET external_id = $2, url = $3, extra_runs = $4, updated_at = now()
     FROM retraining_decisions AS decision WHERE decision.id = decision_id AND decision.run_id = $1`,
    [runId, externalId, url, extraRuns],
  );
}

/** Whether any of these decisions' trainings is asked for or under way still. */
export async function isAnyInFlight(pool: pg.Pool, decisionIds: readonly number[]): Promise<boolean> {
  const { rowCount } = await pool.query(
    `SELECT FROM retraining_dispatches
     WHERE decision_id = ANY($1) AND state IN ('pending', 'sent', 'unknown', 'running') LIMIT 1`,
    [decisionIds],
  );
  return rowCount === 1;
}

/** Takes the one chance to run a training in this process. */
export async function claimRun(pool: pg.Pool, runId: string): Promise<boolean> {
  const { rowCount } = await pool.query(
    `UPDATE retraining_dispatches SET state = 'running', status = 'in_progress', started_at = now(), heard_at = now(),
       updated_at = now()
     FROM retraining_decisions AS decision
     WHERE decision.id = decision_id AND decision.run_id = $1 AND state = 'sent'`,
    [runId],
  );
  return rowCount === 1;
}

/** A training that somebody should follow. */
export interface OpenTraining {
  runId: string;
  model: string;
  /** false where only its alerts are kept, or nobody knows whether it was started. */
  isUnderWay: boolean;
}

/** The trainings of this trainer that are under way, or whose alerts are still kept after their failure. */
export async function listOpenTrainings(pool: pg.Pool, trainer: string): Promise<OpenTraining[]> {
  const { rows } = await pool.query<OpenTraining>(
    `SELECT run_id AS "runId", model, state IN ('sent', 'running') AS "isUnderWay"
     FROM retraining_dispatches AS dispatch JOIN retraining_decisions AS decision ON decision.id = decision_id
     WHERE dispatch.trainer = $1 AND dispatch.trainer <> 'mock' AND run_id IS NOT NULL
       AND dispatch.updated_at < now() - interval '2 seconds'
       AND (state IN ('sent', 'unknown', 'running')
         OR (state IN ('failed', 'cancelled') AND ended_at > now() - interval '7 days'
           AND NOT EXISTS (SELECT FROM retraining_decisions AS later
             WHERE later.model = decision.model AND later.id > decision.id AND later.decision = 'trigger')))`,
    [trainer],
  );
  return rows;
}

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

/** The run whose training a trainer knows under this id or key; null where there is none. */
export async function findTraining(
  pool: pg.Pool,
  { externalId, key }: { externalId: string; key: string | null },
): Promise<string | null> {
  const { rows } = await pool.query<{ runId: string }>(
    `SELECT run_id AS "runId" FROM retraining_dispatches AS dispatch
     JOIN retraining_decisions AS decision ON decision.id = decision_id
     WHERE external_id = $1 OR run_id::text = $2 LIMIT 1`,
    [externalId, key],
  );
  return rows[0]?.runId ?? null;
}

/** How many dispatches of each model and trainer stand in each state. */
export interface DispatchCount {
  model: string;
  trainer: string;
  state: DispatchState;
  count: number;
}

export async function countDispatches(pool: pg.Pool): Promise<DispatchCount[]> {
  const { rows } = await pool.query<DispatchCount>(
    `SELECT model, dispatch.trainer, state, count(*)::float8 AS count FROM retraining_dispatches AS dispatch
     JOIN retraining_decisions AS decision ON decision.id = decision_id
     GROUP BY model, dispatch.trainer, state ORDER BY model, dispatch.trainer, state`,
  );
  return rows;
}
