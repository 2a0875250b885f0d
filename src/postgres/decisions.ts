import type pg from "pg";
import { z } from "zod";
import type { DispatchRequest } from "../core/dispatch-request.ts";
import type { DispatchOutcome } from "../core/training.ts";
import type { Verdict } from "../core/evaluate.ts";
import { Evidence } from "../core/evidence.ts";
import { Policy } from "../core/policy.ts";
import type { Superseded } from "../core/superseded.ts";

/** A decision about to be recorded. */
export interface NewDecision {
  runId: string;
  model: string;
  cause: string;
  decision: string;
  notes: string;
  trainer: string;
  evidence: Evidence;
  policy: Policy;
  policyHash: string;
  verdict: Verdict;
  /** For a trigger: the request, recorded in the same transaction, before anything is sent. */
  request: DispatchRequest | null;
  /** The state in which the dispatch row begins. */
  dispatchState: "pending" | "sent";
}

/** A decision as it stands in the log. */
export interface RecordedDecision {
  id: number;
  /** ISO 8601. */
  decidedAt: string;
  decision: string;
  trainer: string;
  request: DispatchRequest | null;
  dispatch: DispatchOutcome | null;
  /** What an earlier try of the run weighed, where it was that one which recorded. */
  earlier: { evidence: Evidence; policy: Policy } | null;
}

/** A decision's row, or why nothing was written. */
export type RecordingAnswer =
  { outcome: "recorded"; decision: RecordedDecision } | { outcome: "superseded"; because: Superseded };

export interface RecordingOptions {
  timeZone: string;
  /** Evidence that is older than this, by the database's clock, is not acted on. */
  evidenceMaxAgeSeconds: number;
}

/**
 * Records a decision by compare-and-set against the last decision that its evidence saw, and its dispatch with it.
 * Answers the row of this run, whether it was written now or by an earlier try; or that another run's decision came first,
 * or that the evidence is too old: then nothing was written. One round trip; a retry takes two, a lost race three.
 */
export async function recordDecision(
  pool: pg.Pool,
  decision: NewDecision,
  options: RecordingOptions,
): Promise<RecordingAnswer> {
  const values = toValues(decision, options);
  for (let attempt = 1; ; attempt += 1) {
    const { rows } = await pool.query<Omit<RecordedDecision, "earlier">>(INSERT_DECISION, values);
    if (rows[0]) return { outcome: "recorded", decision: { ...rows[0], earlier: null } };
    const { known, isStale } = await findReason(pool, decision, options);
    if (known) return { outcome: "recorded", decision: known };
    if (isStale) return { outcome: "superseded", because: "stale_evidence" };
    if (attempt > MAX_REPAIRS || !(await repairSequence(pool)))
      return { outcome: "superseded", because: "newer_decision" };
  }
}

function toValues(decision: NewDecision, { timeZone, evidenceMaxAgeSeconds }: RecordingOptions): unknown[] {
  const { evidence, verdict } = decision;
  return [
    decision.runId,
    decision.model,
    decision.cause,
    decision.decision,
    verdict.reason,
    evidence.buffer.size,
    verdict.driftScore,
    decision.notes,
    decision.trainer,
    JSON.stringify(evidence),
    JSON.stringify(verdict.criteria),
    JSON.stringify(decision.policy),
    decision.policyHash,
    evidence.alerts.ids,
    evidence.lastDecisions[0]?.id ?? 0,
    timeZone,
    decision.request && JSON.stringify(decision.request),
    decision.dispatchState,
    evidence.takenAt,
    evidenceMaxAgeSeconds,
  ];
}

const MAX_REPAIRS = 3;

// The number that the table's ids have come to.
const SEQUENCE = "pg_get_serial_sequence('retraining_decisions', 'id')::regclass";

/**
 * Moves the sequence past rows that somebody wrote with ids of their own (a restored dump): the newest decision must
 * have the highest id. Answers whether there was need to.
 */
async function repairSequence(pool: pg.Pool): Promise<boolean> {
  const { rowCount } = await pool.query(
    `SELECT setval(${SEQUENCE}, highest) FROM (SELECT max(id) AS highest FROM retraining_decisions) AS ids
     WHERE highest > COALESCE(pg_sequence_last_value(${SEQUENCE}), 0)`,
  );
  return rowCount === 1;
}

// The outcome of the table or row named `dispatch`; NULL where there is none.
const DISPATCH_OUTCOME = `CASE WHEN dispatch.state IS NOT NULL THEN json_build_object('state', dispatch.state,
  'externalId', dispatch.external_id, 'url', dispatch.url, 'error', dispatch.error, 'askedAt', dispatch.asked_at) END`;

const INSERT_DECISION = `
WITH decision AS (
  INSERT INTO retraining_decisions (run_id, model, cause, decision_date, decision, reason, buffer_size, drift_score, notes,
    trainer, evidence, criteria, policy, policy_hash, alert_ids, previous_id)
  SELECT $1::uuid, $2::text, $3::text, now() AT TIME ZONE $16, $4::text, $5::text, $6::bigint, $7::float8, $8::text,
    $9::text, $10::jsonb, $11::jsonb, $12::jsonb, $13::text, $14::text[], NULLIF($15::integer, 0)
  WHERE NOT EXISTS (SELECT FROM retraining_decisions WHERE model = $2 AND id > $15::integer)
    AND $19::timestamptz >= now() - make_interval(secs => $20)
    AND COALESCE((SELECT max(id) FROM retraining_decisions), 0) <= COALESCE(pg_sequence_last_value(${SEQUENCE}), 0)
  ON CONFLICT DO NOTHING
  RETURNING id, decision_date, decision, trainer
), dispatch AS (
  INSERT INTO retraining_dispatches (decision_id, trainer, state, request)
  SELECT id, trainer, $18::text, $17::json FROM decision WHERE $17::json IS NOT NULL
  RETURNING decision_id, state, request, external_id, url, error, asked_at
)
SELECT decision.id, to_json(decision_date AT TIME ZONE $16) #>> '{}' AS "decidedAt", decision.decision, decision.trainer,
  dispatch.request, ${DISPATCH_OUTCOME} AS dispatch
FROM decision LEFT JOIN dispatch ON dispatch.decision_id = decision.id`;

/** Why nothing was inserted: the run's decision was there already, or its evidence is too old, or neither. */
async function findReason(
  pool: pg.Pool,
  { runId, evidence }: NewDecision,
  { timeZone, evidenceMaxAgeSeconds }: RecordingOptions,
): Promise<{ known: RecordedDecision | null; isStale: boolean }> {
  const { rows } = await pool.query<
    Omit<RecordedDecision, "earlier"> & { evidence: unknown; policy: unknown; isStale: boolean }
  >(
    `SELECT $3::timestamptz < now() - make_interval(secs => $4) AS "isStale",
             decision.id, to_json(decision_date AT TIME ZONE $2) #>> '{}' AS "decidedAt", decision.decision, decision.trainer,
             decision.evidence, decision.policy, dispatch.request, ${DISPATCH_OUTCOME} AS dispatch
           FROM (SELECT $1::uuid AS run_id) AS asked
           LEFT JOIN retraining_decisions AS decision USING (run_id)
           LEFT JOIN retraining_dispatches AS dispatch ON dispatch.decision_id = decision.id`,
    [runId, timeZone, evidence.takenAt, evidenceMaxAgeSeconds],
  );
  const { isStale = false, evidence: seen, policy, ...row } = rows[0] ?? {};
  if (!("id" in row) || row.id === null) return { known: null, isStale };
  // A row of another version may hold what this one does not read.
  const earlier = z.object({ evidence: Evidence, policy: Policy }).safeParse({ evidence: seen, policy });
  return { known: { ...(row as Omit<RecordedDecision, "earlier">), earlier: earlier.data ?? null }, isStale };
}

/** One line of `retrigger history` and of the decisions page. */
export interface DecisionRow {
  id: number;
  runId: string | null;
  model: string;
  cause: string | null;
  /** ISO 8601; null where the DAG's row has none. */
  decidedAt: string | null;
  decision: string | null;
  reason: string | null;
  bufferSize: number | null;
  driftScore: number | null;
  notes: string | null;
  /** State and page of the training that it asked for. */
  dispatch: string | null;
  url: string | null;
}

/** The newest decisions, newest first; of all models where `model` is null. */
export async function listDecisions(
  pool: pg.Pool,
  { model, limit, timeZone }: { model: string | null; limit: number; timeZone: string },
): Promise<DecisionRow[]> {
  const { rows } = await pool.query<DecisionRow>(
    `SELECT decision.id, run_id AS "runId", model, cause, to_json(decision_date AT TIME ZONE $3) #>> '{}' AS "decidedAt",
       decision, reason, buffer_size::float8 AS "bufferSize", drift_score AS "driftScore", notes, dispatch.state AS dispatch,
       dispatch.url
     FROM retraining_decisions AS decision
     LEFT JOIN retraining_dispatches AS dispatch ON dispatch.decision_id = decision.id
     WHERE $1::text IS NULL OR model = $1
     ORDER BY decision.id DESC LIMIT $2`,
    [model, limit, timeZone],
  );
  return rows;
}
