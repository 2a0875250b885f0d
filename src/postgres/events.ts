import type pg from "pg";
import { type DriftMonitoringCompleted, toInstant } from "../../queues/jobs.ts";
import { queryPrepared } from "./prepared.ts";

/** An event as the inbox accepted it. */
export interface AcceptedEvent {
  model: string;
  event: DriftMonitoringCompleted;
  /** The inbox job that brought it; never reused. */
  jobKey: string;
  outcome: "started" | "folded" | "drift_run_failed";
  /** The run that covers it; null if none is needed. */
  runId: string | null;
}

/** A job for the inbox. */
export interface OutboxJob {
  id: string;
  name: string;
  data: object;
}

export type RecordedEvent =
  | { kind: "accepted" }
  /** Another job brought the same event before. `runId` is the run that covers it; null if none is needed. */
  | { kind: "duplicate"; runId: string | null };

/** Records the events that the inbox accepted. */
export function createEventStore({ pool }: { pool: pg.Pool }) {
  return {
    /** Records an event, or what another attempt of the same job has found out about it. */
    async recordEvent({ model, event, jobKey, outcome, runId }: AcceptedEvent): Promise<RecordedEvent> {
      const { rows } = await queryPrepared<{ jobKey: string; runId: string | null }>(pool, RECORD_EVENT, [
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
      return !row || row.jobKey === jobKey ? { kind: "accepted" } : { kind: "duplicate", runId: row.runId };
    },

    /**
     * The inbox job that brought an event, and whether it said that the drift run failed; null if none did yet.
     */
    async findEvent(
      model: string,
      eventRunId: string,
    ): Promise<{ jobKey: string; isFailed: boolean } | null> {
      const { rows } = await queryPrepared<{ jobKey: string; isFailed: boolean }>(
        pool,
        `SELECT job_key AS "jobKey", outcome = 'drift_run_failed' AS "isFailed" FROM retraining_events
         WHERE model = $1 AND event_run_id = $2`,
        [model, eventRunId],
      );
      return rows[0] ?? null;
    },

    /** Jobs that were accepted with their checks but may not have reached the queue: the oldest first. */
    async listOutbox(): Promise<OutboxJob[]> {
      const { rows } = await pool.query<OutboxJob>(
        "SELECT id, name, data FROM retrigger_outbox ORDER BY created_at LIMIT 500",
      );
      return rows;
    },

    /** Removes a job that has reached the queue. */
    async removeFromOutbox(id: string): Promise<void> {
      await queryPrepared(pool, "DELETE FROM retrigger_outbox WHERE id = $1", [id]);
    },

    /** Hands the events of a superseded run over to the run that re-evaluates. */
    async moveEvents(fromRunId: string, toRunId: string): Promise<void> {
      await pool.query("UPDATE retraining_events SET outcome = 'folded', run_id = $2 WHERE run_id = $1", [
        fromRunId,
        toRunId,
      ]);
    },
  };
}

// Another attempt of the same job overwrites what an earlier one wrote; a drift run that failed and then succeeded is a new
// event. The update touches the row in every case, so that RETURNING shows in one round trip which job it belongs to.
const IS_NEWS =
  "(known.job_key = excluded.job_key OR (known.outcome = 'drift_run_failed' AND excluded.outcome <> 'drift_run_failed'))";
// A drift run that failed before and has now succeeded counts as received now: see `received_at` below.
const UPDATED_COLUMNS = ["job_key", "status", "source", "completed_at", "payload", "outcome", "run_id"];
const RECORD_EVENT = `
INSERT INTO retraining_events AS known (model, event_run_id, job_key, status, source, completed_at, payload, outcome, run_id)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (model, event_run_id) DO UPDATE SET
  ${UPDATED_COLUMNS.map((column) => `${column} = CASE WHEN ${IS_NEWS} THEN excluded.${column} ELSE known.${column} END`).join(",\n  ")},
  received_at = CASE WHEN known.outcome = 'drift_run_failed' AND excluded.outcome <> 'drift_run_failed'
    THEN now() ELSE known.received_at END
RETURNING job_key AS "jobKey", run_id AS "runId"`;
