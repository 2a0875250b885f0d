import type pg from "pg";
import type { RecordedOutcome } from "../core/outcome/outcome.ts";
import { listOutcomesOf } from "./outcome-sql.ts";

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
  /** The reason in a few words; null from a version that did not record it. */
  why: string | null;
}

/** Which decisions to list. Absent and null: all. */
export interface DecisionFilter {
  model?: string | null | undefined;
  /** `trigger` also finds `trigger_mock`. */
  decision?: string | null | undefined;
  /** A reason code. */
  reason?: string | null | undefined;
  cause?: string | null | undefined;
  /** The state of the dispatch. */
  dispatch?: string | null | undefined;
  /** ISO 8601: from this time on, and before that one. */
  since?: string | null | undefined;
  until?: string | null | undefined;
  /** Only decisions with a lower number: the page after one that ended with it. */
  before?: number | null | undefined;
  limit: number;
}

/** A decision with all that was recorded about it. */
export interface DecisionDetail extends DecisionRow {
  evidence: unknown;
  criteria: unknown;
  policy: unknown;
  policyHash: string | null;
  explanation: unknown;
  forced: unknown;
  /** What a shadow policy said; null without one. */
  shadow: unknown;
  nextLookAt: string | null;
  /** The dispatch as recorded, with its request and the progress of the training; null without one. */
  training: Record<string, unknown> | null;
  /** What was reported about that training, by metric. */
  outcomes: RecordedOutcome[];
  /** The events that it covers, the newest first, 100 at most. */
  events: { runId: string; source: string | null; receivedAt: string }[];
}

/** Lists recorded decisions. @param timeZone IANA zone of `decision_date`. */
export function createDecisionLog({ pool, timeZone }: { pool: pg.Pool; timeZone: string }) {
  return {
    /** The newest decisions that a filter admits, newest first. */
    async listDecisions(filter: DecisionFilter): Promise<DecisionRow[]> {
      const { model = null, decision = null, reason = null, cause = null } = filter;
      const { since = null, until = null, before = null, dispatch = null, limit } = filter;
      // Bounds of the one id are not bounds of the other to the planner.
      const id = reason === null ? "decision.id" : "listed.decision_id";
      const conditions = [
        model === null ? "" : "AND model = $3",
        decision === null ? "" : "AND (decision = $4 OR $4 = 'trigger' AND decision = 'trigger_mock')",
        reason === null ? "" : "AND listed.code = $5",
        cause === null ? "" : "AND cause = $6",
        since === null ? "" : `AND decision_date >= ${SINCE} AND ${id} >= ${FIRST_ID}`,
        until === null ? "" : `AND decision_date < ${UNTIL} AND ${id} <= ${LAST_ID}`,
        before === null ? "" : `AND ${id} < $9`,
        dispatch === null ? "" : "AND dispatch.state = $10",
      ];
      const values = [limit, timeZone, model, decision, reason, cause, since, until, before, dispatch];
      return (await pool.query<DecisionRow>(buildList(id, conditions.join(" ")), values)).rows;
    },

    /** The decision that a run made; null for none. */
    async findDecisionOfRun(runId: string): Promise<number | null> {
      const { rows } = await pool.query<{ id: number }>(
        "SELECT id FROM retraining_decisions WHERE run_id = $1",
        [runId],
      );
      return rows[0]?.id ?? null;
    },

    /** A decision with all that was recorded about it; null if there is none. */
    async readDecision(id: number): Promise<DecisionDetail | null> {
      return (await pool.query<DecisionDetail>(READ_DECISION, [id, timeZone])).rows[0] ?? null;
    },
  };
}

const SINCE = "$7::timestamptz AT TIME ZONE $2";
const UNTIL = "$8::timestamptz AT TIME ZONE $2";
// Ids follow the dates, except for a few rows that were written at the same time: with a bound, none need be searched in vain.
const FIRST_ID = `COALESCE((SELECT min(id) FROM (SELECT id FROM retraining_decisions WHERE decision_date >= ${SINCE}
  ORDER BY decision_date LIMIT 1000) AS first), 0)`;
const LAST_ID = `COALESCE((SELECT max(id) FROM (SELECT id FROM retraining_decisions WHERE decision_date < ${UNTIL}
  ORDER BY decision_date DESC LIMIT 1000) AS last), 0)`;

/** The columns of a `DecisionRow`, with the time zone as $2. */
export const LISTED_COLUMNS = `decision.id, run_id AS "runId", model, cause, to_json(decision_date AT TIME ZONE $2) #>> '{}' AS "decidedAt",
  decision.decision, decision.reason, buffer_size::float8 AS "bufferSize", drift_score AS "driftScore", notes, dispatch.state AS dispatch,
  dispatch.url, NULLIF(explanation ->> 'why', '') AS why`;
export const FROM_DECISIONS = `FROM retraining_decisions AS decision
  LEFT JOIN retraining_dispatches AS dispatch ON dispatch.decision_id = decision.id`;

/** The dispatch of a decision as recorded, with its request and the progress of the training. */
export const TRAINING = `CASE WHEN dispatch.id IS NOT NULL THEN json_build_object('trainer', dispatch.trainer, 'state', dispatch.state,
  'reason', dispatch.reason_code, 'request', dispatch.request, 'externalId', dispatch.external_id, 'url', dispatch.url,
  'error', dispatch.error, 'createdAt', dispatch.created_at, 'askedAt', dispatch.asked_at, 'startedAt', dispatch.started_at,
  'endedAt', dispatch.ended_at, 'updatedAt', dispatch.updated_at, 'status', dispatch.status,
  'conclusion', dispatch.conclusion, 'attempt', dispatch.run_attempt, 'durationSeconds', dispatch.duration_seconds,
  'extraRuns', dispatch.extra_runs) END`;

/** The events that a decision covers. */
export const EVENTS = `COALESCE((SELECT json_agg(json_build_object('runId', event_run_id, 'source', source, 'receivedAt', received_at)
  ORDER BY received_at DESC) FROM (SELECT * FROM retraining_events WHERE run_id = decision.run_id
  ORDER BY received_at DESC LIMIT 100) AS covered), '[]')`;

/** Every parameter is named, because Postgres must know the types of those that the conditions leave out. */
function buildList(id: string, conditions: string): string {
  const join =
    id === "decision.id" ? "" : `JOIN retraining_decision_reasons AS listed ON ${id} = decision.id`;
  return `WITH given AS (SELECT $3::text, $4::text, $5::text, $6::text, $7::text, $8::text, $9::int, $10::text)
SELECT ${LISTED_COLUMNS} ${FROM_DECISIONS} ${join} WHERE true ${conditions} ORDER BY ${id} DESC LIMIT $1`;
}

const READ_DECISION = `SELECT ${LISTED_COLUMNS}, evidence, criteria, policy, policy_hash AS "policyHash", explanation, forced, shadow,
  to_json(next_look_at) #>> '{}' AS "nextLookAt",
  ${TRAINING} AS training, ${listOutcomesOf("decision.id")} AS outcomes,
  ${EVENTS} AS events
${FROM_DECISIONS} WHERE decision.id = $1`;
