import { isOverdue } from "../answers-sql.ts";
import { ZONE_MARGIN } from "../column-sql.ts";
import { OPEN } from "../dispatch-sql.ts";
import {
  IS_REQUESTED,
  MOST_DURATIONS,
  MOST_FAILURES,
  REQUESTED_AT,
  selectLastSuccess,
} from "../trainings-sql.ts";
import { EVIDENCE_LIMITS } from "../../core/evidence.ts";

/** Whatever is given, this much is kept: events are told apart by their ids, trainings may still report, sizes are compared. */
export const KEPT_DAYS = 30;

/** Why a decision and all newer ones of its model are kept. */
export const KEPT_BECAUSE = {
  latest: "the latest decisions",
  open_training: "a training is under way, or is unknown",
  recent_training: `a training changed within ${KEPT_DAYS} days`,
  alerts: "its training was for alerts that still count",
  last_success: "the last successful training",
  last_request: "the last training that was requested, and those that failed since the last success",
  durations: "how long the last trainings took counts",
  budget: "a budget counts its training",
  approval: "the last request for an approval",
  newer: "newer than --before",
} as const;
export type KeptBecause = keyof typeof KEPT_BECAUSE;

const MODEL = "$1::text";
const TRAINER = "$2::text";
const within = (seconds: string): string => `now() - make_interval(secs => ${seconds})`;
const OF_MODEL = `FROM retraining_dispatches AS dispatch WHERE model_name = ${MODEL}`;
const OF_TRAINER = `${OF_MODEL} AND trainer = ${TRAINER}`;

/**
 * The lowest decision that each rule keeps, as `because` and `id`. Everything that evidence, guards, compare-and-set, the chain or
 * the reconciler reads of older decisions must have a line here.
 *
 * $1 model, $2 trainer, $3 reach, $4 and $5 how far back requests of the model and of all models count, in seconds, $6 whether
 * durations count, $7 maximum age of evidence in seconds.
 */
export function selectKept(trainer: string): string {
  const newest = (condition: string): string =>
    `(SELECT id FROM retraining_decisions WHERE model = ${MODEL} AND ${condition} ORDER BY id DESC LIMIT 1)`;
  const rules: [KeptBecause, string][] = [
    [
      "latest",
      `SELECT min(id) FROM (SELECT id FROM retraining_decisions WHERE model = ${MODEL}
      ORDER BY id DESC LIMIT ${EVIDENCE_LIMITS.decisions}) AS newest`,
    ],
    // Compare-and-set and the next evaluation; the place where the chain goes on.
    ["latest", newest("run_id IS NOT NULL")],
    ["latest", newest("sha256 IS NOT NULL")],
    ["open_training", `SELECT min(decision_id) ${OF_MODEL} AND trainer <> 'mock' AND state IN (${OPEN})`],
    [
      "recent_training",
      `SELECT min(decision_id) ${OF_MODEL} AND updated_at > now() - interval '${KEPT_DAYS} days'`,
    ],
    [
      "alerts",
      `SELECT min(id) FROM retraining_decisions WHERE model = ${MODEL} AND decision IN ('trigger', 'trigger_mock')
      AND newest_alert_at > ${within("$3::float8")} - ${ZONE_MARGIN}`,
    ],
    [
      "last_success",
      `SELECT decision_id FROM (${selectLastSuccess({ model: MODEL, trainer: TRAINER }, trainer)}) AS success`,
    ],
    // Of several failures in a row each counts; the first other training ends the row.
    [
      "last_request",
      `SELECT min(decision_id) FROM (
      SELECT decision_id, count(*) FILTER (WHERE state NOT IN ('failed', 'cancelled'))
        OVER (ORDER BY at DESC, decision_id DESC ROWS BETWEEN UNBOUNDED PRECEDING AND 1 PRECEDING) AS others
      FROM (SELECT decision_id, state, ${REQUESTED_AT} AS at ${OF_TRAINER} AND ${IS_REQUESTED} AND NOT ${isOverdue("$7::float8")}
        ORDER BY ${REQUESTED_AT} DESC, decision_id DESC LIMIT ${MOST_FAILURES}) AS newest) AS counted WHERE others = 0`,
    ],
    ["last_request", `SELECT decision_id ${OF_MODEL} ORDER BY decision_id DESC LIMIT 1`],
    [
      "durations",
      `SELECT min(decision_id) FROM (SELECT decision_id ${OF_TRAINER} AND $6::boolean AND state = 'succeeded'
      AND ended_at IS NOT NULL AND COALESCE(duration_seconds, extract(epoch FROM ended_at - started_at)) >= 0
      AND (SELECT buffer_size FROM retraining_decisions WHERE id = decision_id) IS NOT NULL
      ORDER BY ended_at DESC LIMIT ${MOST_DURATIONS}) AS past`,
    ],
    [
      "budget",
      `SELECT min(decision_id) ${OF_TRAINER} AND ${IS_REQUESTED} AND ${REQUESTED_AT} > ${within("$4::float8")}`,
    ],
    [
      "budget",
      `SELECT min(decision_id) ${OF_MODEL} AND ${IS_REQUESTED} AND ${REQUESTED_AT} > ${within("$5::float8")}`,
    ],
    [
      "approval",
      `SELECT decision_id FROM retraining_approvals WHERE model = ${MODEL} ORDER BY id DESC LIMIT 1`,
    ],
  ];
  return rules
    .map(([because, sql]) => `SELECT '${because}' AS because, (${sql}) AS id`)
    .join("\nUNION ALL\n");
}
