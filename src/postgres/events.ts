import type pg from "pg";
import { type DriftMonitoringCompleted, toInstant } from "../../queues/jobs.ts";

/** An event as the inbox accepted it. */
export interface AcceptedEvent {
  model: string;
  event: DriftMonitoringCompleted;
  /** The inbox job that brought it, unique for all time. */
  jobKey: string;
  outcome: "started" | "folded" | "drift_run_failed";
  /** The run that covers it; null where none is needed. */
  runId: string | null;
}

/**
 * Records an event, or what another try of the same job found out about it.
 * @returns "accepted", or for an event that another job brought before, the run that covers it.
 */
export async function recordEvent(
  pool: pg.Pool,
  { model, event, jobKey, outcome, runId }: AcceptedEvent,
): Promise<"accepted" | { duplicateOf: string | null }> {
  const { rows } = await pool.query<{ jobKey: string; runId: string | null }>(RECORD_EVENT, [
    model,
    event.runId,
    jobKey,
    event.status ?? null,
    event.source ?? null,
    event.completedAt === undefined ? null : toInstant(event.completedAt),
    JSON.stringify(event),
    outcome,
    runId,
  ]);
  const row = rows[0];
  return !row || row.jobKey === jobKey ? "accepted" : { duplicateOf: row.runId };
}

// Another try of the same job says what it found out now; a drift run that failed and then succeeded is news. The update
// touches the row in any case, so that RETURNING tells whose it is, in one round trip.
const IS_NEWS =
  "(known.job_key = excluded.job_key OR (known.outcome = 'drift_run_failed' AND excluded.outcome <> 'drift_run_failed'))";
// News of an event that needed no decision before is an event of now.
const UPDATED_COLUMNS = ["job_key", "status", "source", "completed_at", "payload", "outcome", "run_id"];
const RECORD_EVENT = `
INSERT INTO retraining_events AS known (model, event_run_id, job_key, status, source, completed_at, payload, outcome, run_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (model, event_run_id) DO UPDATE SET
  ${UPDATED_COLUMNS.map((column) => `${column} = CASE WHEN ${IS_NEWS} THEN excluded.${column} ELSE known.${column} END`).join(",\n  ")},
  received_at = CASE WHEN known.outcome = 'drift_run_failed' AND excluded.outcome <> 'drift_run_failed'
    THEN now() ELSE known.received_at END
RETURNING job_key AS "jobKey", run_id AS "runId"`;

/** Hands the events of a superseded run to the run that looks again. */
export async function moveEvents(pool: pg.Pool, fromRunId: string, toRunId: string): Promise<void> {
  await pool.query("UPDATE retraining_events SET outcome = 'folded', run_id = $2 WHERE run_id = $1", [
    fromRunId,
    toRunId,
  ]);
}

/** A run that something waits for. */
export interface OpenRun {
  runId: string;
  model: string;
  /** An event waits for its decision, or its decision for the trainer to be asked. */
  lacks: "decision" | "dispatch";
}

/**
 * The runs that are not at their end by what Postgres knows: an event waits for their decision, or a decision of
 * this trainer for its dispatch. Those of the last seconds are left out, as their jobs may be on the way to Redis.
 */
export async function listOpenRuns(pool: pg.Pool, trainer: string): Promise<OpenRun[]> {
  const { rows } = await pool.query<OpenRun>(LIST_OPEN_RUNS, [trainer]);
  return rows;
}

// Of a model's decisions each saw the one before, so that the newest has the youngest snapshot.
const LIST_OPEN_RUNS = `
SELECT run_id AS "runId", model, 'decision' AS lacks FROM retraining_events AS event
WHERE outcome <> 'drift_run_failed'
  AND received_at > now() - interval '7 days' AND received_at < now() - interval '2 seconds'
  AND NOT EXISTS (SELECT FROM retraining_decisions WHERE run_id = event.run_id)
  AND received_at > COALESCE((
    SELECT (evidence ->> 'takenAt')::timestamptz FROM retraining_decisions
    WHERE model = event.model AND run_id IS NOT NULL ORDER BY id DESC LIMIT 1), '-infinity')
UNION
SELECT run_id, model, 'dispatch' FROM retraining_dispatches AS dispatch JOIN retraining_decisions AS decision ON decision.id = decision_id
WHERE state = 'pending' AND dispatch.trainer = $1 AND created_at < now() - interval '2 seconds' AND run_id IS NOT NULL`;
