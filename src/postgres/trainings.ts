import type pg from "pg";
import type { DispatchRequest } from "../core/dispatch-request.ts";
import type { DispatchOutcome, DispatchState } from "../core/training.ts";

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
