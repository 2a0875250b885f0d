import type pg from "pg";
import { z } from "zod";
import type { DispatchOutcome } from "../core/dispatch/dispatch.ts";
import type { LatestDecision } from "../core/dispatch/effects.ts";
import type { DispatchRequest } from "../core/dispatch/request.ts";
import { PermanentError } from "../core/errors.ts";
import type { Verdict } from "../core/evaluate.ts";
import { Evidence, findInFlight } from "../core/evidence.ts";
import { Policy } from "../core/policy.ts";
import type { Superseded } from "../core/superseded.ts";
import { OPEN } from "./dispatches.ts";
import { hasCode } from "./explain-error.ts";
import { queryPrepared } from "./prepared.ts";

/** A decision that is about to be recorded. */
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
  /** Hash of the settings that the request was rendered from. */
  settingsHash: string;
  /** The state in which the dispatch row begins. */
  dispatchState: "pending" | "sent";
}

/** A decision as it stands in the log. */
export interface RecordedDecision {
  id: number;
  /** ISO 8601. */
  decidedAt: string;
  /** How long it is until the next look, by the database's clock; null without one, and if a later decision has its own. */
  nextLookInMs: number | null;
  decision: string;
  trainer: string;
  request: DispatchRequest | null;
  dispatch: DispatchOutcome | null;
  /** What an earlier try of the run weighed, if that one recorded the decision. */
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
 * Records a decision by compare-and-set against what its evidence saw: the model's last decision and, if a training held it
 * back, that this training is still open. Also records its dispatch and marks the events that it covers. Returns the row of
 * this run, whether it was written now or by an earlier try; or why nothing was written. One round trip; a retry takes two,
 * a lost race two or three.
 *
 * @throws PermanentError if the table has no sequence that gives the newest decision the highest id.
 */
export async function recordDecision(
  pool: pg.Pool,
  decision: NewDecision,
  options: RecordingOptions,
): Promise<RecordingAnswer> {
  for (let attempt = 1; ; attempt += 1) {
    const isKnown = sequences.has(pool);
    const values = toValues(decision, options, await findSequence(pool));
    const rows = await insert(pool, values).catch((error: unknown) => {
      // The cached sequence may have been dropped since.
      if (!isKnown || !hasCode(error, ["42P01"])) throw error;
      return [];
    });
    if (rows[0]) return { outcome: "recorded", decision: { ...rows[0], earlier: null } };
    const found = await findReason(pool, decision, options);
    if (found.outcome !== "none") return found;
    // Neither a rival decision nor old evidence: ids were written past the sequence, or the sequence was replaced.
    sequences.delete(pool);
    if (attempt > MAX_REPAIRS) throw noSequence("its ids run ahead of its sequence");
    await repairSequence(pool, await findSequence(pool));
  }
}

async function insert(
  pool: pg.Pool,
  values: readonly unknown[],
): Promise<Omit<RecordedDecision, "earlier">[]> {
  return (await queryPrepared<Omit<RecordedDecision, "earlier">>(pool, INSERT_DECISION, values)).rows;
}

function toValues(
  decision: NewDecision,
  { timeZone, evidenceMaxAgeSeconds }: RecordingOptions,
  sequence: string,
): unknown[] {
  const { evidence, verdict } = decision;
  const isHeld = verdict.failed.includes("training_in_flight");
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
    verdict.failed.length > 0 ? verdict.failed : [verdict.reason],
    verdict.nextLookAt,
    evidence.checks.newestTriggered[0]?.checkedAt ?? null,
    isHeld ? findInFlight(evidence).map(({ decisionId }) => decisionId) : [],
    decision.settingsHash,
    sequence,
  ];
}

const MAX_REPAIRS = 3;

/** The sequence that `retraining_decisions.id` takes its values from, cached per pool. */
const sequences = new WeakMap<pg.Pool, string>();

/**
 * Finds the sequence of the ids: the table's own, or the one that its default names.
 *
 * @throws PermanentError if there is none.
 */
async function findSequence(pool: pg.Pool): Promise<string> {
  const known = sequences.get(pool);
  if (known !== undefined) return known;
  const { rows } = await pool.query<{ sequence: string | null; cached: number }>(FIND_SEQUENCE);
  const { sequence = null, cached = 1 } = rows[0] ?? {};
  if (sequence === null) throw noSequence("its default names none");
  if (cached > 1)
    throw new PermanentError(
      "NO_SEQUENCE",
      `${sequence} hands out ${cached} numbers at once, so that the newest decision would not have the highest id. Run: ALTER SEQUENCE ${sequence} CACHE 1`,
    );
  sequences.set(pool, sequence);
  return sequence;
}

const FIND_SEQUENCE = `
SELECT sequence, (SELECT seqcache::integer FROM pg_sequence WHERE seqrelid = sequence::regclass) AS cached
FROM (SELECT COALESCE(pg_get_serial_sequence('retraining_decisions', 'id'), (
  SELECT dependency.refobjid::regclass::text
  FROM pg_attrdef AS def
  JOIN pg_attribute AS attribute ON attribute.attrelid = def.adrelid AND attribute.attnum = def.adnum
  JOIN pg_depend AS dependency ON dependency.classid = 'pg_attrdef'::regclass AND dependency.objid = def.oid
  JOIN pg_class AS sequence ON sequence.oid = dependency.refobjid AND sequence.relkind = 'S'
  WHERE def.adrelid = 'retraining_decisions'::regclass AND attribute.attname = 'id' LIMIT 1)) AS sequence) AS found`;

function noSequence(why: string): PermanentError {
  return new PermanentError(
    "NO_SEQUENCE",
    `retraining_decisions.id does not take its values from a sequence (${why}), so the newest decision would not have the highest id. Give it one: CREATE SEQUENCE retrigger_decision_ids OWNED BY retraining_decisions.id; SELECT setval('retrigger_decision_ids', max(id)) FROM retraining_decisions; ALTER TABLE retraining_decisions ALTER COLUMN id SET DEFAULT nextval('retrigger_decision_ids')`,
  );
}

/** Moves the sequence past rows that were written with ids of their own (a restored dump). */
async function repairSequence(pool: pg.Pool, sequence: string): Promise<void> {
  await pool.query(
    `SELECT setval($1::regclass, highest) FROM (SELECT max(id) AS highest FROM retraining_decisions) AS ids
     WHERE highest > COALESCE(pg_sequence_last_value($1::regclass), 0)`,
    [sequence],
  );
}

// The outcome of the table or row named `dispatch`; NULL if there is none.
const DISPATCH_OUTCOME = `CASE WHEN dispatch.state IS NOT NULL THEN json_build_object('state', dispatch.state,
  'reason', dispatch.reason_code, 'externalId', dispatch.external_id, 'url', dispatch.url, 'error', dispatch.error,
  'askedAt', dispatch.asked_at) END`;

/** How long it is until an instant, in milliseconds on the database's clock; NULL if there is none. */
function waitFor(instant: string): string {
  return `CASE WHEN ${instant} IS NOT NULL THEN GREATEST(0, ceil(extract(epoch FROM ${instant} - now()) * 1000))::float8 END`;
}

// A training that ends right now either waits for the lock on its row or makes this statement wait, so one of the two sees
// the other. An event is covered if it was received before the snapshot; those before the last decision's snapshot were
// covered by that decision.
const INSERT_DECISION = `
WITH holding AS (
  SELECT FROM retraining_dispatches
  WHERE decision_id = ANY($24::integer[]) AND state IN (${OPEN}) FOR SHARE
), decision AS (
  INSERT INTO retraining_decisions (run_id, model, cause, decision_date, decision, reason, buffer_size, drift_score, notes,
    trainer, evidence, criteria, policy, policy_hash, alert_ids, previous_id, taken_at, reason_codes, next_look_at,
    newest_alert_at)
  SELECT $1::uuid, $2::text, $3::text, now() AT TIME ZONE $16::text, $4::text, $5::text, $6::bigint, $7::float8, $8::text,
    $9::text, $10::jsonb, $11::jsonb, $12::jsonb, $13::text, $14::text[], NULLIF($15::integer, 0), $19::timestamptz,
    $21::text[], $22::timestamptz, $23::timestamptz
  WHERE NOT EXISTS (SELECT FROM retraining_decisions WHERE model = $2 AND id > $15::integer)
    AND $19::timestamptz >= now() - make_interval(secs => $20)
    AND (SELECT count(*) FROM holding) = cardinality($24::integer[])
    AND COALESCE((SELECT max(id) FROM retraining_decisions), 0) <= COALESCE(pg_sequence_last_value($26::regclass), 0)
  ON CONFLICT DO NOTHING
  RETURNING id, decision_date, decision, trainer
), dispatch AS (
  INSERT INTO retraining_dispatches (decision_id, model_name, trainer, state, request, settings_hash)
  SELECT id, $2::text, trainer, $18::text, $17::json, $25::text FROM decision WHERE $17::json IS NOT NULL
  RETURNING decision_id, state, reason_code, request, external_id, url, error, asked_at
), covered AS (
  UPDATE retraining_events SET decision_id = decision.id FROM decision
  WHERE model = $2 AND decision_id IS NULL AND outcome <> 'drift_run_failed' AND received_at <= $19::timestamptz
    AND received_at > COALESCE((SELECT taken_at FROM retraining_decisions WHERE id = $15::integer), '-infinity')
)
SELECT decision.id, to_json(decision_date AT TIME ZONE $16::text) #>> '{}' AS "decidedAt",
  ${waitFor("$22::timestamptz")} AS "nextLookInMs", decision.decision, decision.trainer, dispatch.request, ${DISPATCH_OUTCOME} AS dispatch
FROM decision LEFT JOIN dispatch ON dispatch.decision_id = decision.id`;

/** Why nothing was inserted. "none": neither another run nor the time explains it. */
async function findReason(
  pool: pg.Pool,
  { runId, model, evidence, verdict }: NewDecision,
  { timeZone, evidenceMaxAgeSeconds }: RecordingOptions,
): Promise<RecordingAnswer | { outcome: "none" }> {
  const isHeld = verdict.failed.includes("training_in_flight");
  const { rows } = await pool.query<
    Omit<RecordedDecision, "earlier"> & {
      evidence: unknown;
      policy: unknown;
      isStale: boolean;
      hasRival: boolean;
      isReleased: boolean;
    }
  >(
    `SELECT $3::timestamptz < now() - make_interval(secs => $4) AS "isStale",
       EXISTS (SELECT FROM retraining_decisions WHERE model = $5 AND id > $6::integer) AS "hasRival",
       (SELECT count(*) FROM retraining_dispatches WHERE decision_id = ANY($7::integer[])
         AND state IN (${OPEN})) < cardinality($7::integer[]) AS "isReleased",
       decision.id, to_json(decision_date AT TIME ZONE $2) #>> '{}' AS "decidedAt",
       CASE WHEN NOT EXISTS (SELECT FROM retraining_decisions AS later
         WHERE later.model = decision.model AND later.id > decision.id)
         THEN ${waitFor("decision.next_look_at")} END AS "nextLookInMs", decision.decision, decision.trainer,
       decision.evidence, decision.policy, dispatch.request, ${DISPATCH_OUTCOME} AS dispatch
     FROM (SELECT $1::uuid AS run_id) AS asked
     LEFT JOIN retraining_decisions AS decision USING (run_id)
     LEFT JOIN retraining_dispatches AS dispatch ON dispatch.decision_id = decision.id`,
    [
      runId,
      timeZone,
      evidence.takenAt,
      evidenceMaxAgeSeconds,
      model,
      evidence.lastDecisions[0]?.id ?? 0,
      isHeld ? findInFlight(evidence).map(({ decisionId }) => decisionId) : [],
    ],
  );
  const { isStale, hasRival, isReleased, evidence: seen, policy, ...row } = rows[0] ?? {};
  if ("id" in row && row.id !== null) {
    // A row written by another version may not parse.
    const earlier = z.object({ evidence: Evidence, policy: Policy }).safeParse({ evidence: seen, policy });
    const decision = { ...(row as Omit<RecordedDecision, "earlier">), earlier: earlier.data ?? null };
    return { outcome: "recorded", decision };
  }
  if (isStale) return { outcome: "superseded", because: "stale_evidence" };
  if (hasRival) return { outcome: "superseded", because: "newer_decision" };
  return isReleased ? { outcome: "superseded", because: "training_ended" } : { outcome: "none" };
}

/** What the end of a training needs to know about a model's latest decision; null if there is none. */
export async function readLatestDecision(pool: pg.Pool, model: string): Promise<LatestDecision | null> {
  const { rows } = await pool.query<LatestDecision>(
    `SELECT floor(extract(epoch FROM taken_at) * 1000)::float8 AS "takenAt",
       COALESCE('training_in_flight' = ANY(reason_codes), false) AS "isHeldByTraining"
     FROM retraining_decisions WHERE model = $1 AND run_id IS NOT NULL ORDER BY id DESC LIMIT 1`,
    [model],
  );
  return rows[0] ?? null;
}

/** What of a model is to be put back if Redis lost it, or if what was to happen did not. */
export interface ModelState {
  model: string;
  /** The latest decision, if it asks to be looked at again. */
  nextLook: { decisionId: number; waitMs: number } | null;
  /**
   * Whether the model should have been evaluated again by now: its next look is overdue, the training that held it back is
   * over, or its dispatch was cancelled before the request.
   */
  isOverdue: boolean;
  /** Runs of events that no decision covers. */
  openRunIds: string[];
}

/**
 * The models that something is to be done about. What happened in the last two seconds is left out, because its jobs may be
 * on the way to Redis; a look is overdue after a minute. Takes time by the number of models, not of events or decisions.
 */
export async function listModelStates(pool: pg.Pool, models: readonly string[]): Promise<ModelState[]> {
  const { rows } = await pool.query<ModelState>(LIST_MODEL_STATES, [models]);
  return rows;
}

const LIST_MODEL_STATES = `
SELECT models.model, CASE WHEN next_look_at IS NOT NULL THEN json_build_object('decisionId', latest.id,
    'waitMs', ${waitFor("next_look_at")}) END AS "nextLook",
  is_overdue AS "isOverdue", COALESCE(open.run_ids, '{}') AS "openRunIds"
FROM unnest($1::text[]) AS models (model)
LEFT JOIN LATERAL (
  SELECT id, next_look_at, taken_at, reason_codes, decision_date FROM retraining_decisions AS decision
  WHERE decision.model = models.model AND run_id IS NOT NULL ORDER BY id DESC LIMIT 1
) AS latest ON true
LEFT JOIN LATERAL (
  SELECT COALESCE(latest.next_look_at < now() - interval '1 minute', false)
    OR latest.taken_at < now() - interval '5 seconds' AND 'training_in_flight' = ANY(latest.reason_codes)
      AND NOT EXISTS (SELECT FROM retraining_dispatches WHERE model_name = models.model AND trainer <> 'mock'
        AND state IN (${OPEN}))
    OR EXISTS (SELECT FROM retraining_dispatches WHERE decision_id = latest.id AND state = 'cancelled'
      AND reason_code IS NOT NULL AND updated_at < now() - interval '5 seconds') AS is_overdue
) AS due ON true
LEFT JOIN LATERAL (
  SELECT array_agg(DISTINCT run_id) AS run_ids FROM (
    SELECT run_id FROM retraining_events AS event
    WHERE event.model = models.model AND decision_id IS NULL AND outcome <> 'drift_run_failed'
      AND received_at > COALESCE(latest.taken_at, '-infinity') AND received_at < now() - interval '2 seconds'
    ORDER BY received_at LIMIT 100
  ) AS uncovered
) AS open ON true
WHERE next_look_at IS NOT NULL OR is_overdue OR open.run_ids IS NOT NULL`;

/** One line of `retrigger history` and of the decisions page. */
export interface DecisionRow {
  id: number;
  runId: string | null;
  model: string;
  cause: string | null;
  /** ISO 8601; null if the DAG's row has none. */
  decidedAt: string | null;
  decision: string | null;
  reason: string | null;
  bufferSize: number | null;
  driftScore: number | null;
  notes: string | null;
  /** State and page of the training that it dispatched. */
  dispatch: string | null;
  url: string | null;
}

/** The newest decisions, newest first; of all models if `model` is null. */
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
