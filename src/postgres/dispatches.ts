import type pg from "pg";
import type { z } from "zod";
import {
  type Cancellation,
  CANCELLATIONS,
  type Dispatch,
  type DispatchPatch,
  type DispatchState,
  OPEN_STATES,
} from "../core/dispatch/dispatch.ts";
import type { DispatchRequest, TrainingOrder } from "../core/dispatch/request.ts";
import type { Advance } from "../core/dispatch/transition.ts";
import { TRIGGER_REASON } from "../core/evaluate.ts";
import { Evidence } from "../core/evidence.ts";
import { sendStatements } from "./pool.ts";

/** A dispatch and the decision that made it, as they were read. */
export interface DispatchRecord {
  decisionId: number;
  runId: string;
  model: string;
  trainer: string;
  /** What the request is rendered from. */
  order: TrainingOrder;
  /** What the decision saw: the feature of the newest alert, and the alerts that its training answers. */
  feature: string | null;
  alerts: SeenAlerts;
  /** The recorded request, which is never executed, and the hash of the settings that it was rendered from. */
  request: DispatchRequest;
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

/** The database's clock now, Unix milliseconds: its time at the read plus what has elapsed since. */
export function clockOf({ databaseNow, readAt }: Pick<DispatchRecord, "databaseNow" | "readAt">): number {
  return Math.floor(databaseNow + performance.now() - readAt);
}

/** The states of a dispatch whose training may be under way, for SQL. */
export const OPEN = OPEN_STATES.map((state) => `'${state}'`).join(", ");

const COLUMNS = {
  state: "state",
  reason: "reason_code",
  externalId: "external_id",
  url: "url",
  statusUrl: "status_url",
  status: "status",
  conclusion: "conclusion",
  attempt: "run_attempt",
  durationSeconds: "duration_seconds",
  extraRuns: "extra_runs",
  error: "error",
  createdAt: "created_at",
  askedAt: "asked_at",
  heardAt: "heard_at",
  silentSince: "silent_since",
  startedAt: "started_at",
  endedAt: "ended_at",
} as const satisfies Record<keyof Dispatch, string>;

const TIMES: readonly string[] = ["createdAt", "askedAt", "heardAt", "silentSince", "startedAt", "endedAt"];

const RECORD = `
SELECT decision_id AS "decisionId", run_id AS "runId", decision.model, dispatch.trainer, dispatch.request,
  settings_hash AS "settingsHash", version, extract(epoch FROM clock_timestamp())::float8 * 1000 AS "databaseNow",
  json_build_object('runId', run_id, 'model', decision.model, 'reason', '${TRIGGER_REASON}',
    'driftScore', CASE jsonb_typeof(evidence #> '{checks,newestTriggered,0,score}')
      WHEN 'number' THEN evidence #> '{checks,newestTriggered,0,score}' END,
    'bufferSize', evidence #> '{buffer,size}') AS "order",
  evidence #>> '{checks,newestTriggered,0,feature}' AS feature, evidence -> 'alerts' AS alerts,
  json_build_object(${Object.entries(COLUMNS)
    .map(([name, column]) => `'${name}', ${TIMES.includes(name) ? toMs(column) : `dispatch.${column}`}`)
    .join(", ")}) AS dispatch
FROM retraining_dispatches AS dispatch JOIN retraining_decisions AS decision ON decision.id = decision_id`;

function toMs(column: string): string {
  return `floor(extract(epoch FROM dispatch.${column}) * 1000)::bigint`;
}

type Row = Omit<DispatchRecord, "readAt">;

function toRecord(row: Row | undefined): DispatchRecord | null {
  if (!row) return null;
  // A row written by another version may not parse.
  const alerts = SeenAlerts.catch({ unanswered: 1, failed: [] }).parse(row.alerts);
  return { ...row, alerts, readAt: performance.now() };
}

/** The dispatch of a run; null if it has none. */
export async function readDispatch(pool: pg.Pool, runId: string): Promise<DispatchRecord | null> {
  const { rows } = await pool.query<Row>(`${RECORD} WHERE run_id = $1`, [runId]);
  return toRecord(rows[0]);
}

/** The dispatch of a decision, by the decision's number or its run's id; null if there is none. */
export async function findDispatch(pool: pg.Pool, id: string): Promise<DispatchRecord | null> {
  const isNumber = /^\d{1,9}$/.test(id);
  if (!isNumber && !/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)) return null;
  const { rows } = await pool.query<Row>(
    `${RECORD} WHERE ${isNumber ? "decision_id = $1::integer" : "run_id = $1::uuid"}`,
    [id],
  );
  return toRecord(rows[0]);
}

/** What became of an update. */
export interface Advanced extends Advance {
  record: DispatchRecord;
}

/**
 * Reduces a dispatch and writes what changed, if the row is still the one that was read; otherwise rereads it and reduces
 * again. So no process overwrites what another one found out.
 */
export async function updateDispatch(
  pool: pg.Pool,
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
    if (!reread) throw new Error(`the dispatch of decision ${current.decisionId} is gone`);
    current = reread;
  }
}

async function writeDispatch(
  pool: pg.Pool,
  { decisionId, version }: DispatchRecord,
  patch: DispatchPatch,
): Promise<boolean> {
  const entries = Object.entries(patch);
  const assignments = entries.map(([name], index) => {
    const value = `$${index + 3}`;
    return `${COLUMNS[name as keyof Dispatch]} = ${TIMES.includes(name) ? `to_timestamp(${value}::float8 / 1000)` : value}`;
  });
  const { rowCount } = await pool.query(
    `UPDATE retraining_dispatches SET ${assignments.join(", ")}, version = version + 1, updated_at = now()
     WHERE decision_id = $1 AND version = $2`,
    [decisionId, version, ...entries.map(([, value]) => value)],
  );
  return rowCount === 1;
}

/** Whether the caller may send the request, and the dispatch as it is after the claim. */
export type Claim =
  /** Yes, and from now on nothing else may. */
  | { outcome: "claimed"; record: DispatchRecord }
  /** No: an earlier try sent it or was about to; or it was cancelled, by this claim or before. */
  | { outcome: "refused"; record: DispatchRecord };

/**
 * Claims the right to request a decision's training, which is granted once. This is the last check before a request: it
 * stops a decision whose evidence has become outdated (a rejected one that is retried, or one that was recorded at the same
 * time) if another training was requested since. One round trip; claims for one model are serialized.
 */
export async function claimDispatch(
  pool: pg.Pool,
  decisionId: number,
  evidenceMaxAgeSeconds: number,
): Promise<Claim> {
  const results = await sendStatements(pool, [
    "BEGIN",
    `SELECT pg_advisory_xact_lock(hashtext('retrigger dispatch'), hashtext(model)) FROM retraining_decisions WHERE id = ${decisionId}`,
    // Its snapshot is taken once the lock is held, so it sees all that earlier holders committed.
    buildClaim(decisionId, evidenceMaxAgeSeconds),
    `${RECORD} WHERE decision_id = ${decisionId}`,
    "COMMIT",
  ]);
  const record = toRecord(results[3]?.rows[0] as Row | undefined);
  if (!record) throw new Error(`decision ${decisionId} has no dispatch`);
  const isClaimed = results[2]?.rows[0]?.["claim"] === "claimed";
  return { outcome: isClaimed ? "claimed" : "refused", record };
}

/** Whether the row `other` is a later request of the model that the guards of `decision` object to. */
const IS_RIVAL = `other.model_name = decision.model AND other.decision_id <> decision.id AND other.trainer <> 'mock'
  AND other.asked_at > decision.taken_at
  AND (COALESCE((decision.policy ->> 'inFlightGuard')::boolean, true) AND other.state IN (${OPEN})
    OR COALESCE((decision.policy ->> 'retriggerGuard')::boolean, true) AND other.state IN (${OPEN}, 'succeeded')
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

/**
 * The newest other decision of the model that requested a training since this one's evidence was gathered, so that a retry
 * would train twice; null if there is none. For messages only: the claim checks again.
 */
export async function findLaterRequest(pool: pg.Pool, decisionId: number): Promise<number | null> {
  const { rows } = await pool.query<{ id: number | null }>(
    `SELECT max(other.decision_id) AS id FROM retraining_decisions AS decision
     JOIN retraining_dispatches AS other ON ${IS_RIVAL} WHERE decision.id = $1`,
    [decisionId],
  );
  return rows[0]?.id ?? null;
}

/** A dispatch that a job must work on. */
export interface OpenDispatch {
  runId: string;
  model: string;
  state: DispatchState;
}

/**
 * This trainer's unfinished dispatches, and its failed ones whose alerts are still held back. Those written in the last two
 * seconds are left out, because their jobs may be on the way to Redis.
 */
export async function listOpenDispatches(pool: pg.Pool, trainer: string): Promise<OpenDispatch[]> {
  const { rows } = await pool.query<OpenDispatch>(
    `SELECT run_id AS "runId", decision.model, state
     FROM retraining_dispatches AS dispatch JOIN retraining_decisions AS decision ON decision.id = decision_id
     WHERE dispatch.trainer = $1 AND dispatch.trainer <> 'mock' AND run_id IS NOT NULL
       AND dispatch.updated_at < now() - interval '2 seconds' AND state IN (${OPEN})
     UNION ALL
     SELECT run_id, decision.model, state
     FROM retraining_dispatches AS dispatch JOIN retraining_decisions AS decision ON decision.id = decision_id
     WHERE dispatch.trainer = $1 AND dispatch.trainer <> 'mock' AND run_id IS NOT NULL
       AND state IN ('failed', 'cancelled') AND ended_at > now() - interval '7 days'
       AND dispatch.updated_at < now() - interval '2 seconds'
       AND (SELECT latest.next_look_at > now() OR latest.taken_at <= dispatch.ended_at
         FROM retraining_decisions AS latest
         WHERE latest.model = decision.model AND latest.run_id IS NOT NULL ORDER BY latest.id DESC LIMIT 1)`,
    [trainer],
  );
  return rows;
}

/** The run whose training a trainer knows under this id or key; null if there is none. */
export async function findTraining(
  pool: pg.Pool,
  { externalId, key }: { externalId: string; key: string | null },
): Promise<string | null> {
  const { rows } = await pool.query<{ runId: string | null }>(
    `SELECT COALESCE((
       SELECT run_id FROM retraining_decisions AS decision JOIN retraining_dispatches ON decision_id = decision.id
       WHERE run_id = $2::uuid
     ), (
       SELECT run_id FROM retraining_dispatches JOIN retraining_decisions AS decision ON decision.id = decision_id
       WHERE external_id = $1 ORDER BY decision_id DESC LIMIT 1
     )) AS "runId"`,
    [externalId, key],
  );
  return rows[0]?.runId ?? null;
}

/** How many dispatches of each model and trainer are in each state. */
export interface DispatchCount {
  model: string;
  trainer: string;
  state: DispatchState;
  count: number;
}

export async function countDispatches(pool: pg.Pool): Promise<DispatchCount[]> {
  const { rows } = await pool.query<DispatchCount>(
    `SELECT model, trainer, state, count::float8 AS count FROM retraining_dispatch_counts
     WHERE count > 0 ORDER BY model, trainer, state`,
  );
  return rows;
}
