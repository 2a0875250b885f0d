import pg from "pg";
import { z } from "zod";
import { EVIDENCE_LIMITS, Evidence } from "../core/evidence.ts";
import { PermanentError } from "../errors.ts";
import { sendStatements } from "./pool.ts";

/** What to read for one model. */
export interface EvidenceRequest {
  model: string;
  lookbackHours: number;
  driftAlertsTable: string;
  ratingsBufferTable: string;
  /** Alerts that this trainer already answered count as answered; those of another trainer do not. */
  trainer: string;
  /** After so long without a sign of life, nobody waits for a training that nobody follows. */
  lostAfterSeconds: number;
  /** A training that was not asked for within so long will not be. */
  evidenceMaxAgeSeconds: number;
  /** IANA zone of `alert_date` and `decision_date` where they have none. */
  timeZone: string;
}

/** A count of ten million ratings takes some two seconds; what takes longer than this will not come. */
const READING_LIMIT_MS = 115_000;

/**
 * Reads everything that a decision weighs in one read-only REPEATABLE READ snapshot and one round trip.
 * All times are compared by the database, on its own clock.
 */
export async function fetchEvidence(
  pool: pg.Pool,
  request: EvidenceRequest,
  limitMs = READING_LIMIT_MS,
): Promise<Evidence> {
  const parsed = Evidence.safeParse(await querySnapshot(pool, request, limitMs));
  if (parsed.success) return parsed.data;
  throw new PermanentError(
    "SOURCE_DATA",
    `The source tables hold what is not understood: ${z.prettifyError(parsed.error)}. Check their columns' types`,
  );
}

async function querySnapshot(pool: pg.Pool, request: EvidenceRequest, limitMs: number): Promise<unknown> {
  const statements = [
    "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY",
    // Keeps a query from going on in the server when nobody waits for it any more.
    `SET LOCAL statement_timeout = ${limitMs}`,
    buildEvidenceSql(request),
    "COMMIT",
  ];
  const results = await sendStatements(pool, statements, limitMs + 5_000);
  return results[2]?.rows[0]?.["evidence"];
}

function buildEvidenceSql(request: EvidenceRequest): string {
  const model = pg.escapeLiteral(request.model);
  const zone = pg.escapeLiteral(request.timeZone);
  const trainer = pg.escapeLiteral(request.trainer);
  const { checks, alertIds, batches, decisions, failed, texts } = EVIDENCE_LIMITS;
  return `
WITH checks AS MATERIALIZED (
  SELECT id, alert_id, checked_at, feature_name, drift_score, threshold, triggered, notes
  FROM (
    SELECT id,
           -- With its time, because ids start again where a table is cleared, and an id may be NULL in a view.
           COALESCE(id::text, '') || '@' || alert_date::text AS alert_id,
           ${withZone("alert_date", zone)} AS checked_at,
           left(feature_name::text, ${texts}) AS feature_name,
           drift_score::float8 AS drift_score,
           threshold::float8 AS threshold,
           COALESCE(alert_triggered::boolean, false) AS triggered,
           left(notes::text, ${texts}) AS notes
    FROM ${quoteTable(request.driftAlertsTable)}
  ) AS source
  WHERE checked_at > now() - make_interval(hours => ${request.lookbackHours})
), listed AS (
  SELECT *, json_build_object(
    'id', alert_id, 'checkedAt', checked_at, 'feature', feature_name, 'score', drift_score,
    'threshold', threshold, 'triggered', triggered, 'notes', notes) AS item
  FROM checks
), alerts AS MATERIALIZED (
  SELECT id, alert_id, checked_at FROM checks WHERE triggered ORDER BY checked_at DESC, id DESC LIMIT ${alertIds}
), trained AS MATERIALIZED (
  -- Each alert with each training of this trainer that it started.
  SELECT alert_id, decision.id AS decision_id, decision.decision_date, COALESCE(dispatch.state, 'sent') AS state,
         dispatch.ended_at, dispatch.conclusion, ${isOverdue(request)} AS is_overdue
  FROM retraining_decisions AS decision
  LEFT JOIN retraining_dispatches AS dispatch ON dispatch.decision_id = decision.id
  CROSS JOIN LATERAL unnest(decision.alert_ids) AS alert_id
  WHERE decision.model = ${model}
    AND decision.trainer = ${trainer}
    AND decision.decision IN ('trigger', 'trigger_mock')
    AND alert_id IN (SELECT alert_id FROM alerts)
), answered AS MATERIALIZED (
  SELECT DISTINCT ON (alert_id) alert_id, decision_id, decision_date FROM trained
  WHERE state NOT IN ('rejected', 'failed', 'cancelled') AND is_overdue IS NOT TRUE
  ORDER BY alert_id, decision_id
), failures AS (
  SELECT DISTINCT ON (alert_id) decision_id, ended_at, conclusion, count(*) OVER (PARTITION BY alert_id) AS failures
  FROM trained
  WHERE state IN ('failed', 'cancelled') AND ended_at IS NOT NULL AND alert_id NOT IN (SELECT alert_id FROM answered)
  ORDER BY alert_id, decision_id DESC
), failed_trainings AS (
  SELECT decision_id, ended_at, conclusion, failures, count(*) AS alerts FROM failures
  GROUP BY decision_id, ended_at, conclusion, failures ORDER BY decision_id DESC LIMIT ${failed}
), in_flight AS (
  -- Who follows a training of the trainer of the settings says when it is lost; of another one, nobody does.
  SELECT decision_id, dispatch.trainer, state, COALESCE(asked_at, created_at) AS since, url
  FROM retraining_dispatches AS dispatch JOIN retraining_decisions AS decision ON decision.id = decision_id
  WHERE decision.model = ${model} AND dispatch.trainer <> 'mock'
    AND state IN ('pending', 'sent', 'unknown', 'running')
    AND NOT ${isOverdue(request)}
    AND (dispatch.trainer = ${trainer} AND state <> 'unknown'
      OR COALESCE(heard_at, asked_at, created_at) > now() - make_interval(secs => ${request.lostAfterSeconds}))
  ORDER BY decision_id DESC LIMIT ${decisions}
), batches AS MATERIALIZED (
  SELECT left(batch_id::text, ${texts}) AS batch, count(*) AS ratings,
         min("timestamp") AS earliest, max("timestamp") AS latest
  FROM ${quoteTable(request.ratingsBufferTable)}
  GROUP BY batch_id
), latest_batches AS (
  SELECT * FROM batches ORDER BY latest DESC NULLS LAST, batch DESC LIMIT ${batches}
), latest_decisions AS (
  SELECT id, ${withZone("decision_date", zone)} AS decided_at, decision, buffer_size, drift_score
  FROM retraining_decisions WHERE model = ${model} ORDER BY id DESC LIMIT ${decisions}
)
SELECT json_build_object(
  'takenAt', now(),
  'checks', json_build_object(
    'total', (SELECT count(*) FROM checks),
    'triggered', (SELECT count(*) FROM checks WHERE triggered),
    'newest', COALESCE((SELECT json_agg(item ORDER BY checked_at DESC, id DESC)
      FROM (SELECT * FROM listed ORDER BY checked_at DESC, id DESC LIMIT ${checks}) AS newest), '[]'),
    'newestTriggered', COALESCE((SELECT json_agg(item ORDER BY checked_at DESC, id DESC)
      FROM (SELECT * FROM listed WHERE triggered ORDER BY checked_at DESC, id DESC LIMIT ${checks}) AS newest), '[]')),
  'alerts', json_build_object(
    'ids', COALESCE((SELECT json_agg(alert_id ORDER BY checked_at DESC, id DESC) FROM alerts), '[]'),
    'unanswered', (SELECT count(*) FROM alerts WHERE alert_id NOT IN (SELECT alert_id FROM answered)),
    'answeredBy', COALESCE((SELECT json_agg(json_build_object(
        'decisionId', decision_id, 'decidedAt', decided_at, 'alerts', alerts) ORDER BY decision_id DESC)
      FROM (SELECT decision_id, ${withZone("min(decision_date)", zone)} AS decided_at, count(*) AS alerts
            FROM answered GROUP BY decision_id ORDER BY decision_id DESC LIMIT ${decisions}) AS earlier), '[]'),
    'failed', COALESCE((SELECT json_agg(json_build_object('decisionId', decision_id, 'endedAt', ended_at,
        'conclusion', conclusion, 'failures', failures, 'alerts', alerts) ORDER BY decision_id DESC)
      FROM failed_trainings), '[]')),
  'inFlight', COALESCE((SELECT json_agg(json_build_object('decisionId', decision_id, 'trainer', trainer, 'state', state,
      'since', since, 'url', url) ORDER BY decision_id DESC) FROM in_flight), '[]'),
  'buffer', json_build_object(
    'size', (SELECT COALESCE(sum(ratings), 0) FROM batches),
    'batchCount', (SELECT count(*) FROM batches),
    'batches', COALESCE((SELECT json_agg(json_build_object(
        'batch', batch, 'ratings', ratings, 'earliestRating', earliest, 'latestRating', latest)
        ORDER BY length(batch), batch) FROM latest_batches), '[]')),
  'lastDecisions', COALESCE((SELECT json_agg(json_build_object(
      'id', id, 'decidedAt', decided_at, 'decision', decision, 'bufferSize', buffer_size, 'driftScore', drift_score)
      ORDER BY id DESC) FROM latest_decisions), '[]')
) AS evidence`;
}

/** Whether a dispatch was not asked for in time, so that it never will be. */
function isOverdue({ evidenceMaxAgeSeconds }: EvidenceRequest): string {
  return `(dispatch.state = 'pending' AND dispatch.asked_at IS NULL
    AND dispatch.created_at < now() - make_interval(secs => ${evidenceMaxAgeSeconds}))`;
}

/** A column as a moment: one without zone is read in the zone of the settings, one with a zone (a view's) as it is. */
function withZone(column: string, zone: string): string {
  return `CASE WHEN pg_typeof(${column}) = 'timestamptz'::regtype THEN ${column}::timestamptz ELSE ${column}::timestamp AT TIME ZONE ${zone} END`;
}

/** A name from the settings as SQL identifiers, its case kept. */
export function quoteTable(name: string): string {
  return name
    .split(".")
    .map((part) => pg.escapeIdentifier(part))
    .join(".");
}
