import { EVIDENCE_LIMITS } from "../core/evidence.ts";
import { ZONE_MARGIN } from "./column-sql.ts";
import { OPEN } from "./dispatch-sql.ts";

/** Placeholders of the parameters that all of our own tables are read with. */
export interface OwnReading {
  model: string;
  zone: string;
  trainer: string;
  /** How far back the weighed checks reach, in seconds. */
  reach: string;
  flightLimit: string;
  evidenceMaxAge: string;
}

/** Whether a dispatch was not requested in time and so never will be. */
export function isOverdue(evidenceMaxAge: string): string {
  return `(dispatch.state = 'pending' AND dispatch.asked_at IS NULL
    AND dispatch.created_at < now() - make_interval(secs => ${evidenceMaxAge}))`;
}

/** Finds the decisions whose trainings were for the checks in `weighed`, and the trainings in flight. */
export function buildAnswers({ model, trainer, reach, flightLimit, evidenceMaxAge }: OwnReading): string[] {
  const { inFlight } = EVIDENCE_LIMITS;
  return [
    `named AS MATERIALIZED (
  SELECT DISTINCT names[1] AS alert_id, name FROM weighed CROSS JOIN LATERAL unnest(names) AS known (name)
)`,
    // No older decision can have seen a check of that time.
    `trained AS MATERIALIZED (
  SELECT DISTINCT alert_id, decision.id AS decision_id, decision.decision_date,
    COALESCE(dispatch.state, 'sent') AS state, dispatch.ended_at, dispatch.conclusion,
    ${isOverdue(evidenceMaxAge)} AS is_overdue
  FROM retraining_decisions AS decision
  LEFT JOIN retraining_dispatches AS dispatch ON dispatch.decision_id = decision.id
  CROSS JOIN LATERAL unnest(decision.alert_ids) AS seen (name)
  JOIN named ON named.name = seen.name
  WHERE decision.model = ${model}
    AND decision.trainer = ${trainer}
    AND decision.decision IN ('trigger', 'trigger_mock')
    AND decision.newest_alert_at > now() - make_interval(secs => ${reach}) - ${ZONE_MARGIN}
)`,
    `answered AS MATERIALIZED (
  SELECT DISTINCT ON (alert_id) alert_id, decision_id, decision_date FROM trained
  WHERE state NOT IN ('rejected', 'failed', 'cancelled') AND is_overdue IS NOT TRUE
  ORDER BY alert_id, decision_id
)`,
    `failures AS (
  SELECT DISTINCT ON (alert_id) alert_id, decision_id, ended_at, conclusion,
    count(*) OVER (PARTITION BY alert_id) AS failures
  FROM trained
  WHERE state IN ('failed', 'cancelled') AND ended_at IS NOT NULL AND alert_id NOT IN (SELECT alert_id FROM answered)
  ORDER BY alert_id, decision_id DESC
)`,
    `in_flight AS (
  SELECT decision_id, dispatch.trainer, state, COALESCE(asked_at, created_at) AS since, url,
    CASE WHEN state = 'pending' AND asked_at IS NULL THEN created_at + make_interval(secs => ${evidenceMaxAge})
      ELSE COALESCE(heard_at, asked_at, created_at) + make_interval(secs => ${flightLimit}) END AS until
  FROM retraining_dispatches AS dispatch
  WHERE model_name = ${model} AND dispatch.trainer <> 'mock' AND state IN (${OPEN})
  ORDER BY decision_id DESC LIMIT ${inFlight}
)`,
  ];
}

/** The checks that a policy weighs. @param more Further columns, as pairs of names and SQL. */
export const describeWeighed = (
  more = "",
): string => `COALESCE((SELECT json_agg(json_build_object('id', names[1], 'at', checked_at,
      'feature', feature, 'score', score, 'threshold', threshold, 'triggered', triggered,
      'samples', samples, 'isRecorded', is_recorded, 'hasGap', has_gap${more})
      ORDER BY checked_at DESC, tie DESC) FROM weighed), '[]')`;

/** The earliest training, not a failed one, that was for a check. @param decidedAt When it was decided, as SQL. */
export function describeAnswered(decidedAt: string): string {
  return `COALESCE((SELECT json_agg(json_build_object('id', alert_id, 'decisionId', decision_id,
      'decidedAt', ${decidedAt}))
    FROM answered), '[]')`;
}

/** The last failed training that was for a check without an answer, and how many have failed. */
export const FAILURES = `COALESCE((SELECT json_agg(json_build_object('id', alert_id, 'decisionId', decision_id,
      'endedAt', ended_at, 'conclusion', conclusion, 'failures', failures)) FROM failures), '[]')`;

export const IN_FLIGHT = `COALESCE((SELECT json_agg(json_build_object('decisionId', decision_id, 'trainer', trainer,
      'state', state, 'since', since, 'until', until, 'url', url) ORDER BY decision_id DESC) FROM in_flight), '[]')`;
