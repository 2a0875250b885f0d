/** What was reported about a training, as JSON. @param decisionId The decision that requested it, as SQL. */
export function listOutcomesOf(decisionId: string): string {
  return `COALESCE((SELECT json_agg(json_build_object('metric', metric, 'before', before, 'after', after,
    'isHigherBetter', is_higher_better, 'promoted', promoted, 'source', source, 'by', reported_by, 'at', reported_at)
    ORDER BY metric) FROM retraining_outcomes AS outcome WHERE outcome.decision_id = ${decisionId}), '[]')`;
}

// Evidence of an earlier version lists no alerts, only the newest ones with those that earlier trainings were for.
const ALERTS = `CASE jsonb_typeof(evidence -> 'weighed') WHEN 'array' THEN evidence -> 'weighed'
  ELSE jsonb_build_array(evidence #> '{checks,newestTriggered,0}') END`;

/** The features whose alerts the decision named `decision` was for, as JSON; none unless it was for drift. */
const FEATURES = `CASE WHEN decision.reason = 'drift_detected' THEN COALESCE((
  SELECT json_agg(DISTINCT alert ->> 'feature' ORDER BY alert ->> 'feature') FROM jsonb_array_elements(${ALERTS}) AS alert
  WHERE alert ->> 'triggered' = 'true' AND alert ->> 'answeredBy' IS NULL AND alert ->> 'feature' IS NOT NULL), '[]')
  ELSE '[]' END`;

/** No page shows more, and each has evidence to read. */
const SHOWN_TRAININGS = 500;

/** $1 model, $2 since when they were requested; NULL for all. */
export const LIST_TRAININGS = `
SELECT decision.id AS "decisionId", decision.run_id AS "runId", decision.model, dispatch.trainer,
  to_json(dispatch.at) #>> '{}' AS "requestedAt", decision.reason, ${FEATURES} AS features,
  ${listOutcomesOf("decision.id")} AS outcomes
FROM (
  SELECT decision_id, trainer, COALESCE(asked_at, created_at) AS at FROM retraining_dispatches AS own
  WHERE model_name = $1 AND ($2::timestamptz IS NULL OR COALESCE(asked_at, created_at) >= $2)
    AND (state = 'succeeded' OR EXISTS (SELECT FROM retraining_outcomes WHERE decision_id = own.decision_id))
  ORDER BY decision_id DESC LIMIT ${SHOWN_TRAININGS}
) AS dispatch JOIN retraining_decisions AS decision ON decision.id = dispatch.decision_id
ORDER BY decision.id DESC`;

/** A training has at most so many metrics. */
export const MOST_METRICS = 50;

// Two registry events of one metric may be handled at once, each with one of its figures.
const merged = (column: string): string =>
  `CASE WHEN excluded.source = 'mlflow' THEN COALESCE(excluded.${column}, known.${column}) ELSE excluded.${column} END`;

/**
 * $1 outcomes as a JSON array, $2 and $3 the registered model and the version that report them, or NULL: if that version belongs to
 * another training by now, nothing is saved. A later report of a metric replaces an earlier one, except that a view, which is read again and
 * again, replaces only what a view said. Returns how many changed something, and those that are one metric too many.
 */
export const SAVE_OUTCOMES = `
WITH version AS (
  SELECT decision_id FROM retraining_model_versions WHERE registered_model = $2::text AND version = $3::text FOR SHARE
), given AS (
  SELECT given.*, EXISTS (SELECT FROM retraining_outcomes WHERE decision_id = "decisionId" AND metric = given.metric) AS is_known
  FROM jsonb_to_recordset($1::jsonb) AS given (model text, "decisionId" int, metric text, before float8, after float8,
    "isHigherBetter" boolean, promoted boolean, source text, by text)
  WHERE $2::text IS NULL OR "decisionId" = (SELECT decision_id FROM version)
), counted AS (
  SELECT *, is_known OR (SELECT count(*) FROM retraining_outcomes WHERE decision_id = "decisionId")
    + row_number() OVER (PARTITION BY "decisionId", is_known ORDER BY metric) <= ${MOST_METRICS} AS is_admitted
  FROM given
), saved AS (
INSERT INTO retraining_outcomes AS known (model, decision_id, metric, before, after, is_higher_better, promoted, source,
  reported_by)
SELECT model, "decisionId", metric, before, after, "isHigherBetter", promoted, source, by
FROM counted WHERE is_admitted
ON CONFLICT (decision_id, metric) DO UPDATE SET model = excluded.model, before = ${merged("before")},
  after = ${merged("after")}, is_higher_better = ${merged("is_higher_better")}, promoted = ${merged("promoted")},
  source = excluded.source, reported_by = excluded.reported_by, reported_at = now()
WHERE (known.source = 'view' OR excluded.source <> 'view')
  AND (known.before, known.after, known.is_higher_better, known.promoted) IS DISTINCT FROM
    (${merged("before")}, ${merged("after")}, ${merged("is_higher_better")}, ${merged("promoted")})
RETURNING decision_id
)
SELECT (SELECT count(*)::int FROM saved) AS saved, COALESCE((SELECT json_agg(
  json_build_object('decisionId', "decisionId", 'metric', metric) ORDER BY "decisionId", metric)
  FROM counted WHERE NOT is_admitted), '[]') AS refused`;

/** What decisions have a training. */
export const SELECT_REPORTABLE = `
SELECT decision.id AS "decisionId", decision.run_id AS "runId", decision.model, dispatch.trainer, dispatch.state,
  COALESCE(dispatch.state = 'rejected' OR dispatch.state = 'pending' AND dispatch.asked_at IS NULL
    OR dispatch.state = 'cancelled' AND dispatch.reason_code IS NOT NULL, true) AS "isUnrequested"
FROM retraining_decisions AS decision
LEFT JOIN retraining_dispatches AS dispatch ON dispatch.decision_id = decision.id`;
