/** What is pruned beside decisions. */
export const PARTS = ["events", "checks", "audit"] as const;
export type Part = (typeof PARTS)[number];

export const TABLE_OF: Readonly<Record<Part, string>> = {
  events: "retraining_events",
  checks: "retraining_reported_checks",
  audit: "retrigger_audit",
};

const NEWEST_EVENT = `(SELECT id FROM retraining_events WHERE model = $2::text ORDER BY received_at DESC, id DESC LIMIT 1)`;
const NEWEST_CHECK = `(SELECT id FROM retraining_reported_checks WHERE model = $2::text AND checked_at < now() + interval '1 day'
  ORDER BY checked_at DESC, id DESC LIMIT 1)`;

/**
 * Which rows of each part may go. $1 the time, $2 the model, $3 how far back its checks count, in seconds. The newest event and
 * check of a model stay: by them it is known whether its drift runs are missing.
 */
export const IS_PRUNABLE: Readonly<Record<Part, string>> = {
  events: `model = $2::text AND received_at < $1::timestamptz AND (decision_id IS NOT NULL OR outcome = 'drift_run_failed')
    AND id IS DISTINCT FROM ${NEWEST_EVENT} AND $3::float8 >= 0`,
  checks: `model = $2::text AND checked_at < $1::timestamptz AND received_at < $1::timestamptz
    AND checked_at < now() - make_interval(secs => $3::float8) - interval '1 day' AND id IS DISTINCT FROM ${NEWEST_CHECK}`,
  audit: `at < $1::timestamptz AND $2::text IS NULL AND $3::float8 >= 0`,
};

export const ORDER_OF: Readonly<Record<Part, string>> = {
  events: "received_at, id",
  checks: "checked_at, id",
  audit: "at, id",
};
