import pg from "pg";
import { EVIDENCE_LIMITS } from "../core/evidence.ts";
import { OPEN } from "./dispatch-sql.ts";

/** Tables or views, with or without a schema: `drift_alerts`, `monitoring.drift_alerts`. */
export interface SourceTables {
  driftAlertsTable: string;
  ratingsBufferTable: string;
}

/** $1 model, $2 time zone, $3 trainer, $4 lookback in hours, $5 flight limit and $6 maximum age of evidence in seconds. */
export function buildEvidenceSql(tables: SourceTables, isFilterable: boolean): string {
  const { checks, alertIds, batches, decisions, failed, inFlight, texts } = EVIDENCE_LIMITS;
  return `
WITH checks AS MATERIALIZED (
  SELECT id, alert_date, feature_name, drift_score, threshold, notes, checked_at, triggered
  FROM (
    SELECT id, alert_date, feature_name, drift_score, threshold, notes,
           ${withZone("alert_date")} AS checked_at,
           COALESCE(alert_triggered::boolean, false) AS triggered
    FROM ${quoteTable(tables.driftAlertsTable)}
    ${isFilterable ? `WHERE alert_date > (now() AT TIME ZONE 'UTC') - make_interval(hours => $4) - ${ZONE_MARGIN}` : ""}
  ) AS source
  WHERE checked_at > now() - make_interval(hours => $4)
), alerts AS MATERIALIZED (
  SELECT id, checked_at, alert_date, ${ALERT_ID} AS alert_id
  FROM (SELECT * FROM checks WHERE triggered ORDER BY checked_at DESC, id DESC LIMIT ${alertIds}) AS newest
), names AS MATERIALIZED (
  -- It was named otherwise if the column had another type then, or by an earlier version as the session printed it.
  SELECT DISTINCT alert_id, name FROM alerts CROSS JOIN LATERAL (VALUES (alert_id),
    (COALESCE(id::text, '') || '@' || ${INSTANT}),
    (COALESCE(id::text, '') || '@' || ${WALL_CLOCK("checked_at AT TIME ZONE $2")}),
    (COALESCE(id::text, '') || '@' || alert_date::text)) AS known (name)
), trained AS MATERIALIZED (
  -- Each alert with each training of this trainer that it started. No older decision can have seen an alert of the window.
  SELECT DISTINCT alert_id, decision.id AS decision_id, decision.decision_date, COALESCE(dispatch.state, 'sent') AS state,
         dispatch.ended_at, dispatch.conclusion, ${IS_OVERDUE} AS is_overdue
  FROM retraining_decisions AS decision
  LEFT JOIN retraining_dispatches AS dispatch ON dispatch.decision_id = decision.id
  CROSS JOIN LATERAL unnest(decision.alert_ids) AS seen (name)
  JOIN names ON names.name = seen.name
  WHERE decision.model = $1
    AND decision.trainer = $3
    AND decision.decision IN ('trigger', 'trigger_mock')
    AND decision.newest_alert_at > now() - make_interval(hours => $4) - ${ZONE_MARGIN}
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
  SELECT decision_id, dispatch.trainer, state, COALESCE(asked_at, created_at) AS since, url,
    CASE WHEN state = 'pending' AND asked_at IS NULL THEN created_at + make_interval(secs => $6)
      ELSE COALESCE(heard_at, asked_at, created_at) + make_interval(secs => $5) END AS until
  FROM retraining_dispatches AS dispatch
  WHERE model_name = $1 AND dispatch.trainer <> 'mock' AND state IN (${OPEN})
  ORDER BY decision_id DESC LIMIT ${inFlight}
), batches AS MATERIALIZED (
  SELECT left(batch_id::text, ${texts}) AS batch, count(*) AS ratings,
         min("timestamp") AS earliest, max("timestamp") AS latest
  FROM ${quoteTable(tables.ratingsBufferTable)}
  GROUP BY batch_id
), latest_batches AS (
  SELECT * FROM batches ORDER BY latest DESC NULLS LAST, batch DESC LIMIT ${batches}
), latest_decisions AS (
  SELECT id, ${withZone("decision_date")} AS decided_at, decision, buffer_size, drift_score, next_look_at
  FROM retraining_decisions WHERE model = $1 ORDER BY id DESC LIMIT ${decisions}
)
SELECT json_build_object(
  'takenAt', now(),
  'checks', json_build_object(
    'total', (SELECT count(*) FROM checks),
    'triggered', (SELECT count(*) FROM checks WHERE triggered),
    'newest', ${listChecks("true", checks, texts)},
    'newestTriggered', ${listChecks("triggered", checks, texts)}),
  'alerts', json_build_object(
    'ids', COALESCE((SELECT json_agg(alert_id ORDER BY checked_at DESC, id DESC) FROM alerts), '[]'),
    'unanswered', (SELECT count(*) FROM alerts WHERE alert_id NOT IN (SELECT alert_id FROM answered)),
    'answeredBy', COALESCE((SELECT json_agg(json_build_object(
        'decisionId', decision_id, 'decidedAt', decided_at, 'alerts', alerts) ORDER BY decision_id DESC)
      FROM (SELECT decision_id, ${withZone("min(decision_date)")} AS decided_at, count(*) AS alerts
            FROM answered GROUP BY decision_id ORDER BY decision_id DESC LIMIT ${decisions}) AS earlier), '[]'),
    'failed', COALESCE((SELECT json_agg(json_build_object('decisionId', decision_id, 'endedAt', ended_at,
        'conclusion', conclusion, 'failures', failures, 'alerts', alerts) ORDER BY decision_id DESC)
      FROM failed_trainings), '[]')),
  'inFlight', COALESCE((SELECT json_agg(json_build_object('decisionId', decision_id, 'trainer', trainer, 'state', state,
      'since', since, 'until', until, 'url', url) ORDER BY decision_id DESC) FROM in_flight), '[]'),
  'buffer', json_build_object(
    'size', (SELECT COALESCE(sum(ratings), 0) FROM batches),
    'batchCount', (SELECT count(*) FROM batches),
    'batches', COALESCE((SELECT json_agg(json_build_object(
        'batch', batch, 'ratings', ratings, 'earliestRating', earliest, 'latestRating', latest)
        ORDER BY length(batch), batch) FROM latest_batches), '[]')),
  'lastDecisions', COALESCE((SELECT json_agg(json_build_object(
      'id', id, 'decidedAt', decided_at, 'decision', decision, 'bufferSize', buffer_size, 'driftScore', drift_score,
      'nextLookAt', next_look_at)
      ORDER BY id DESC) FROM latest_decisions), '[]')
) AS evidence`;
}

/** A table name from the settings as quoted SQL identifiers, so that its case is kept. */
export function quoteTable(name: string): string {
  return name
    .split(".")
    .map((part) => pg.escapeIdentifier(part))
    .join(".");
}

// No time zone is more than a day away from UTC; the exact comparison follows.
const ZONE_MARGIN = "interval '2 days'";

/**
 * The identity of an alert, independent of the session's settings: its id and its time, because ids restart if a table is
 * cleared, and may be NULL in a view. A column with a zone gives the instant; one without gives the local time, which stays
 * the same if the zone in the settings is corrected.
 */
const INSTANT = `to_char(checked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
const WALL_CLOCK = (time: string): string =>
  `rtrim(rtrim(to_char(${time}, 'YYYY-MM-DD HH24:MI:SS.US'), '0'), '.')`;
const ALERT_ID = `COALESCE(id::text, '') || '@' || COALESCE(CASE WHEN pg_typeof(alert_date) = 'timestamptz'::regtype
    THEN ${INSTANT} ELSE ${WALL_CLOCK("alert_date::timestamp")} END, checked_at::text)`;

/** The newest checks as JSON, built only for the rows listed. */
function listChecks(condition: string, limit: number, texts: number): string {
  return `COALESCE((SELECT json_agg(json_build_object(
      'id', ${ALERT_ID}, 'checkedAt', checked_at, 'feature', left(feature_name::text, ${texts}),
      'score', drift_score::float8, 'threshold', threshold::float8, 'triggered', triggered,
      'notes', left(notes::text, ${texts})) ORDER BY checked_at DESC, id DESC)
    FROM (SELECT * FROM checks WHERE ${condition} ORDER BY checked_at DESC, id DESC LIMIT ${limit}) AS newest), '[]')`;
}

/** Whether a dispatch was not requested in time and so never will be. */
const IS_OVERDUE = `(dispatch.state = 'pending' AND dispatch.asked_at IS NULL
    AND dispatch.created_at < now() - make_interval(secs => $6))`;

/** A column as an instant: one without a zone is in the zone of the settings; one with a zone (in a view) is taken as it is. */
function withZone(column: string): string {
  return `CASE WHEN pg_typeof(${column}) = 'timestamptz'::regtype THEN ${column}::timestamptz ELSE ${column}::timestamp AT TIME ZONE $2 END`;
}
