import { OPEN } from "./dispatch-sql.ts";

/** The milliseconds until an instant on the database's clock, at least 0; NULL if the instant is NULL. */
export function waitFor(instant: string): string {
  return `CASE WHEN ${instant} IS NOT NULL THEN GREATEST(0, ceil(extract(epoch FROM ${instant} - now()) * 1000))::float8 END`;
}

// The outcome in the table or row named `dispatch`; NULL if there is none.
const DISPATCH_OUTCOME = `CASE WHEN dispatch.state IS NOT NULL THEN json_build_object('state', dispatch.state,
  'reason', dispatch.reason_code, 'externalId', dispatch.external_id, 'url', dispatch.url, 'error', dispatch.error,
  'askedAt', dispatch.asked_at) END`;

/**
 * $1 run id, $2 model, $3 cause, $4 decision, $5 reason, $6 buffer size, $7 drift score, $8 notes, $9 trainer, $10 evidence,
 * $11 criteria, $12 policy, $13 policy hash, $14 alert ids, $15 id of the last decision that the evidence saw or 0, $16 time
 * zone, $17 request, $18 dispatch state, $19 time of the snapshot, $20 maximum age of evidence in seconds, $21 reason codes,
 * $22 time of the next evaluation, $23 time of the newest alert, $24 decisions whose trainings hold this one back, $25 settings
 * hash, $26 sequence of the ids, $27 explanation, $28 who forced it and why, $29 drift ratio, $30 evaluator's version, $31 what
 * the shadow policy says, $32 hash of the content, $33 the override that it uses, $34 for how many seconds it requests an
 * approval, $35 decision whose request for an approval it settles and $36 the state of that request then.
 *
 * A training that ends right now either waits for the lock on its row or makes this statement wait, so one of the two sees
 * the other. An event is covered if it was received before the snapshot; events before the last decision's snapshot were
 * covered by that decision.
 */
function buildInsert(extra: string): string {
  return `
WITH holding AS (
  SELECT FROM retraining_dispatches
  WHERE decision_id = ANY($24::integer[]) AND state IN (${OPEN}) FOR SHARE
), decision AS (
  INSERT INTO retraining_decisions (run_id, model, cause, decision_date, decision, reason, buffer_size, drift_score, notes,
    trainer, evidence, criteria, policy, policy_hash, alert_ids, previous_id, taken_at, reason_codes, next_look_at,
    newest_alert_at, explanation, forced, drift_ratio, evaluator, shadow, content_sha256)
  SELECT $1::uuid, $2::text, $3::text, now() AT TIME ZONE $16::text, $4::text, $5::text, $6::bigint, $7::float8, $8::text,
    $9::text, $10::jsonb, $11::jsonb, $12::jsonb, $13::text, $14::text[], NULLIF($15::integer, 0), $19::timestamptz,
    $21::text[], $22::timestamptz, $23::timestamptz, $27::jsonb, $28::jsonb, $29::float8,
    $30::integer, $31::jsonb, $32::bytea
  WHERE NOT EXISTS (SELECT FROM retraining_decisions WHERE model = $2 AND id > $15::integer)
    AND $19::timestamptz >= now() - make_interval(secs => $20)
    AND (SELECT count(*) FROM holding) = cardinality($24::integer[])
    AND COALESCE((SELECT max(id) FROM retraining_decisions), 0) <= COALESCE(pg_sequence_last_value($26::regclass), 0)
  ON CONFLICT DO NOTHING
  RETURNING id, decision_date, decision, trainer
), dispatch AS (
  INSERT INTO retraining_dispatches (decision_id, model_name, trainer, state, request, settings_hash)
  SELECT id, $2::text, trainer, $18::text, $17::json, $25::text FROM decision WHERE $17::json IS NOT NULL
  RETURNING decision_id, state, reason_code, external_id, url, error, asked_at
), covered AS (
  UPDATE retraining_events SET decision_id = decision.id FROM decision
  WHERE model = $2 AND decision_id IS NULL AND outcome <> 'drift_run_failed' AND received_at <= $19::timestamptz
    AND received_at > COALESCE((SELECT taken_at FROM retraining_decisions WHERE id = $15::integer), '-infinity')
${extra})
SELECT decision.id, to_json(decision_date AT TIME ZONE $16::text) #>> '{}' AS "decidedAt",
  ${waitFor("$22::timestamptz")} AS "nextLookInMs", decision.decision, decision.trainer, ${DISPATCH_OUTCOME} AS dispatch
FROM decision LEFT JOIN dispatch ON dispatch.decision_id = decision.id`;
}

// What people decided: an override that is used up, and requests for an approval.
const INTERVENTIONS = `), overridden AS (
  UPDATE retraining_overrides SET decision_id = decision.id FROM decision WHERE retraining_overrides.id = $33::bigint
), settled AS (
  UPDATE retraining_approvals SET state = $36::text, settled_by = decision.id FROM decision
  WHERE decision_id = $35::integer AND state IN ('open', 'approved')
), requested AS (
  INSERT INTO retraining_approvals (model, decision_id, expires_at)
  SELECT $2::text, id, now() + make_interval(secs => $34::float8) FROM decision WHERE $34::float8 IS NOT NULL
`;

/** The same without $33 to $36, for a decision without any intervention. */
export const INSERT_DECISION = buildInsert("");
export const INSERT_WITH_INTERVENTIONS = buildInsert(INTERVENTIONS);

/**
 * Finds the row of a run, and why it is missing if it is. $1 run id, $2 time zone, $3 time of the snapshot, $4 maximum age of
 * evidence in seconds, $5 model, $6 id of the last decision that the evidence saw or 0, $7 decisions whose trainings hold
 * this one back.
 */
export const FIND_RECORDED = `SELECT $3::timestamptz < now() - make_interval(secs => $4) AS "isStale",
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
     LEFT JOIN retraining_dispatches AS dispatch ON dispatch.decision_id = decision.id`;

/** The date of a decision as its hash covers it: without a zone as it stands, with one in UTC. */
export const WRITTEN_DATE = `CASE WHEN pg_typeof(decision_date) = 'timestamptz'::regtype
    THEN to_json(decision_date::timestamptz AT TIME ZONE 'UTC') #>> '{}'
    ELSE to_json(decision_date::timestamp) #>> '{}' END`;
