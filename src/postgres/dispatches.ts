import type pg from "pg";
import type { z } from "zod";
import type { Dispatch, DispatchPatch } from "../core/dispatch/dispatch.ts";
import type { TrainingOrder } from "../core/dispatch/request.ts";
import type { Advance } from "../core/dispatch/transition.ts";
import { Evidence } from "../core/evidence.ts";
import { SELECT_RECORD, toAssignments } from "./dispatch-sql.ts";

/** A dispatch and the decision that made it, as read at one moment. */
export interface DispatchRecord {
  decisionId: number;
  runId: string;
  model: string;
  trainer: string;
  /** What the request is rendered from. */
  order: TrainingOrder;
  /** What the decision saw: the feature of the newest alert, and the alerts that its training is for. */
  feature: string | null;
  alerts: SeenAlerts;
  /** What the buffer counts. */
  unit: string;
  /** The recorded request, which is never executed, and the hash of the settings that it was rendered from. */
  request: unknown;
  settingsHash: string | null;
  /** Incremented by each write. */
  version: number;
  dispatch: Dispatch;
  /** The database's clock (Unix milliseconds) at the read, and this process's (`performance.now()`) when it returned. */
  databaseNow: number;
  readAt: number;
}

const SeenAlerts = Evidence.shape.alerts.pick({ unanswered: true, failed: true });
type SeenAlerts = z.infer<typeof SeenAlerts>;

/** The result of an update: the reducer's last step, and the row after it. */
export interface Advanced extends Advance {
  record: DispatchRecord;
}

/** The current time on the database's clock, in Unix milliseconds: its time at the read plus the time elapsed since. */
export function clockOf({ databaseNow, readAt }: Pick<DispatchRecord, "databaseNow" | "readAt">): number {
  return Math.floor(databaseNow + performance.now() - readAt);
}

/** Reads and updates dispatches. */
export function createDispatchStore({ pool }: { pool: pg.Pool }) {
  return {
    /** The dispatch of a run; null if it has none. */
    readDispatch: (runId: string) => readDispatch(pool, runId),

    /** The dispatch of a decision, given the decision's id or its `runId`; null if there is none. */
    async findDispatch(id: string): Promise<DispatchRecord | null> {
      const isNumber = /^\d{1,9}$/.test(id);
      if (!isNumber && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)) return null;
      const { rows } = await pool.query<DispatchRow>(
        `${SELECT_RECORD} WHERE ${isNumber ? "decision_id = $1::integer" : "run_id = $1::uuid"}`,
        [id],
      );
      return toRecord(rows[0]);
    },

    /**
     * Reduces a dispatch and writes what changed, if the row is still as it was read; otherwise rereads and reduces it
     * again. So no process overwrites what another process has written.
     */
    async updateDispatch(
      record: DispatchRecord,
      reduce: (record: DispatchRecord) => Advance,
    ): Promise<Advanced> {
      for (let current = record; ;) {
        const step = reduce(current);
        if (Object.keys(step.patch).length === 0) return { ...step, record: current };
        if (await writeDispatch(pool, current, step.patch)) {
          const dispatch = { ...current.dispatch, ...step.patch };
          return { ...step, record: { ...current, dispatch, version: current.version + 1 } };
        }
        const reread = await readDispatch(pool, current.runId);
        if (!reread) throw new Error(`the dispatch of decision ${current.decisionId} has been deleted`);
        current = reread;
      }
    },

    /** The model's last training before a decision's, if that one failed or was stopped. */
    async findFailureBefore(decisionId: number): Promise<{ decisionId: number; runId: string } | null> {
      const { rows } = await pool.query<{ decisionId: number; runId: string; state: string }>(
        FIND_ENDED_BEFORE,
        [decisionId],
      );
      const [{ state, ...ended } = { state: "succeeded", decisionId, runId: "" }] = rows;
      return state === "succeeded" ? null : ended;
    },

    /** The `runId` of the training that a trainer knows by this id or key; null if there is none. */
    async findTraining({
      externalId,
      key,
    }: {
      externalId: string;
      key: string | null;
    }): Promise<string | null> {
      const { rows } = await pool.query<{ runId: string | null }>(FIND_TRAINING, [externalId, key]);
      return rows[0]?.runId ?? null;
    },
  };
}

export type DispatchRow = Omit<DispatchRecord, "readAt">;

/** A row as selected by `SELECT_RECORD`, timed by this process's clock. */
export function toRecord(row: DispatchRow | undefined): DispatchRecord | null {
  if (!row) return null;
  // A row written by another version may not parse.
  const alerts = SeenAlerts.catch({ unanswered: 1, failed: [] }).parse(row.alerts);
  return { ...row, alerts, readAt: performance.now() };
}

async function readDispatch(pool: pg.Pool, runId: string): Promise<DispatchRecord | null> {
  const { rows } = await pool.query<DispatchRow>(`${SELECT_RECORD} WHERE run_id = $1`, [runId]);
  return toRecord(rows[0]);
}

/** Returns whether the row was written: false if another process has written it since it was read. */
async function writeDispatch(
  pool: pg.Pool,
  { decisionId, version }: DispatchRecord,
  patch: DispatchPatch,
): Promise<boolean> {
  const { assignments, values } = toAssignments(patch, 3);
  const { rowCount } = await pool.query(
    `UPDATE retraining_dispatches SET ${assignments}, version = version + 1, updated_at = now()
     WHERE decision_id = $1 AND version = $2`,
    [decisionId, version, ...values],
  );
  return rowCount === 1;
}

const FIND_ENDED_BEFORE = `SELECT dispatch.decision_id AS "decisionId", decision.run_id AS "runId", dispatch.state
     FROM retraining_dispatches AS own
       JOIN retraining_dispatches AS dispatch ON dispatch.model_name = own.model_name AND dispatch.asked_at < own.asked_at
       JOIN retraining_decisions AS decision ON decision.id = dispatch.decision_id
     WHERE own.decision_id = $1 AND dispatch.trainer <> 'mock' AND decision.run_id IS NOT NULL
       AND dispatch.ended_at IS NOT NULL AND dispatch.state IN ('succeeded', 'failed', 'cancelled')
     ORDER BY dispatch.asked_at DESC LIMIT 1`;

const FIND_TRAINING = `SELECT COALESCE((
       SELECT run_id FROM retraining_decisions AS decision JOIN retraining_dispatches ON decision_id = decision.id
       WHERE run_id = $2::uuid
     ), (
       SELECT run_id FROM retraining_dispatches JOIN retraining_decisions AS decision ON decision.id = decision_id
       WHERE external_id = $1 ORDER BY decision_id DESC LIMIT 1
     )) AS "runId"`;
