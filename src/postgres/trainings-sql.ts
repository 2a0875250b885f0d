import { isOverdue, type OwnReading } from "./answers-sql.ts";

/** What to read of the model's trainings. The limits are placeholders of seconds; null if it is not read. */
export interface TrainingsReading {
  /** The name of the configured trainer. */
  trainer: string;
  lastTraining: boolean;
  durations: boolean;
  requestedWithin: string | null;
  requestedByAllWithin: string | null;
}

/** The mock trainer starts no trainings: a decision counts as one that succeeded at once. */
export const MOCK = "mock";

export const REQUESTED_AT = "COALESCE(asked_at, created_at)";

/** Whether a training was requested or is about to be: the condition of the indexes on requests. */
export const IS_REQUESTED = "state <> 'rejected' AND (state <> 'cancelled' OR asked_at IS NOT NULL)";

/** Whether a dispatch counts for all models together: what the mock only shows is no training, except to the mock itself. */
export function isOfAll(trainer: string): string {
  return trainer === MOCK ? "true" : `trainer <> '${MOCK}'`;
}

/** Backoff grows with each failure in a row, up to a limit that is reached long before so many. */
export const MOST_FAILURES = 30;
const MOST_REQUESTS = 1_000;
export const MOST_DURATIONS = 20;

/** An earlier size must be this old, so that a pace can be told from it, and not older. */
const EARLIER = { from: "interval '8 days'", to: "interval '1 day'" } as const;

/** The newest training that succeeded. @param trainer The name of the configured trainer. */
export function selectLastSuccess(own: Pick<OwnReading, "model" | "trainer">, trainer: string): string {
  const [at, condition] =
    trainer === MOCK
      ? [REQUESTED_AT, IS_REQUESTED]
      : ["ended_at", "state = 'succeeded' AND ended_at IS NOT NULL"];
  return `SELECT decision_id, ${at} AS at FROM retraining_dispatches
    WHERE model_name = ${own.model} AND trainer = ${own.trainer} AND ${condition} ORDER BY ${at} DESC LIMIT 1`;
}

/** The last successful training, with what its decision saw. */
export function buildLastSuccess(
  own: Pick<OwnReading, "model" | "trainer">,
  trainer: string,
  toInstant: (column: string) => string,
): string {
  return `last_success AS MATERIALIZED (
  SELECT decision_id, at, buffer_size, COALESCE(taken_at, ${toInstant("decision_date")}) AS taken_at
  FROM (${selectLastSuccess(own, trainer)}) AS newest JOIN retraining_decisions AS decision ON decision.id = decision_id
)`;
}

/** The snapshot since which data is new, or `-infinity`. */
export const LAST_TRAINING = "COALESCE((SELECT taken_at FROM last_success), '-infinity')";

/** The last successful training, as `buildLastSuccess` read it. */
export function describeReadSuccess({ model }: Pick<OwnReading, "model">): string {
  return `(SELECT json_build_object('decisionId', decision_id, 'at', at, 'takenAt', taken_at,
    'bufferSize', buffer_size, 'smallestSince', ${selectSmallestSince(model)}) FROM last_success AS newest)`;
}

/** The last successful training, without the snapshot of its decision. */
export function describeLastSuccess(own: OwnReading, trainer: string): string {
  return `(SELECT json_build_object('decisionId', decision_id, 'at', at,
    'bufferSize', (SELECT buffer_size FROM retraining_decisions WHERE id = decision_id),
    'smallestSince', ${selectSmallestSince(own.model)}) FROM (${selectLastSuccess(own, trainer)}) AS newest)`;
}

/** A buffer is emptied soon after the training, so the first decisions after it show whether it was. */
const FIRST_DECISIONS = 50;

/** The smallest buffer that decisions after the training named `newest` saw. @param model The model, as SQL. */
export function selectSmallestSince(model: string): string {
  return `(SELECT min(buffer_size) FROM (SELECT buffer_size FROM retraining_decisions
      WHERE model = ${model} AND taken_at > newest.at ORDER BY taken_at LIMIT ${FIRST_DECISIONS}) AS seen)`;
}

/** When the model was first decided about: pruning keeps that time. @param model The model, as SQL. */
export function selectFirstDecision(model: string, toInstant: (column: string) => string): string {
  return `(SELECT at FROM (
      (SELECT first_decision_at AS at, 1 AS place FROM retraining_pruned WHERE model = ${model})
      UNION ALL (SELECT COALESCE(taken_at, ${toInstant("decision_date")}), 2 FROM retraining_decisions
        WHERE model = ${model} ORDER BY id LIMIT 1)) AS first ORDER BY place LIMIT 1)`;
}

/** The size that an earlier decision saw. */
export function describeEarlierSize({ model }: OwnReading): string {
  return `(SELECT json_build_object('size', buffer_size, 'at', taken_at) FROM retraining_decisions
    WHERE model = ${model} AND taken_at > now() - ${EARLIER.from} AND taken_at <= now() - ${EARLIER.to}
    ORDER BY taken_at LIMIT 1)`;
}

/** The trainings of the model, as the store completes them. */
export function describeTrainings(
  own: OwnReading,
  reading: TrainingsReading,
  toInstant: (column: string) => string,
): string {
  const isOfModel = `model_name = ${own.model} AND trainer = ${own.trainer}`;
  const isCounted = `${IS_REQUESTED} AND NOT ${isOverdue(own.evidenceMaxAge)}`;
  const requests = (
    condition: string,
    within: string,
  ): string => `COALESCE((SELECT json_agg(at ORDER BY at DESC) FROM (
      SELECT ${REQUESTED_AT} AS at FROM retraining_dispatches AS dispatch
      WHERE ${condition} AND ${isCounted} AND ${REQUESTED_AT} > now() - make_interval(secs => ${within})
      ORDER BY ${REQUESTED_AT} DESC LIMIT ${MOST_REQUESTS}) AS requested), '[]')`;
  const parts = [
    ...(reading.lastTraining
      ? [
          `'newest', COALESCE((SELECT json_agg(json_build_object('decisionId', decision_id, 'state', state,
        'requestedAt', at, 'endedAt', ended_at) ORDER BY at DESC, decision_id DESC) FROM (
      SELECT decision_id, state, ${REQUESTED_AT} AS at, ended_at FROM retraining_dispatches AS dispatch
      WHERE ${isOfModel} AND ${isCounted}
      ORDER BY ${REQUESTED_AT} DESC, decision_id DESC LIMIT ${MOST_FAILURES}) AS newest), '[]')`,
          `'firstDecisionAt', ${selectFirstDecision(own.model, toInstant)}`,
        ]
      : []),
    ...(reading.durations
      ? [
          `'durations', COALESCE((SELECT json_agg(json_build_object('rows', buffer_size, 'seconds', seconds)
        ORDER BY ended_at DESC) FROM (
      SELECT buffer_size, ended_at,
        COALESCE(duration_seconds, extract(epoch FROM ended_at - started_at)::float8) AS seconds
      FROM retraining_dispatches AS dispatch JOIN retraining_decisions AS decision ON decision.id = decision_id
      WHERE model_name = ${own.model} AND dispatch.trainer = ${own.trainer} AND state = 'succeeded'
        AND ended_at IS NOT NULL
        AND buffer_size IS NOT NULL AND COALESCE(duration_seconds, extract(epoch FROM ended_at - started_at)) >= 0
      ORDER BY ended_at DESC LIMIT ${MOST_DURATIONS}) AS past), '[]')`,
        ]
      : []),
    ...(reading.requestedWithin === null
      ? []
      : [`'requestedAt', ${requests(isOfModel, reading.requestedWithin)}`]),
    ...(reading.requestedByAllWithin === null
      ? []
      : [`'requestedByAll', ${requests(isOfAll(reading.trainer), reading.requestedByAllWithin)}`]),
  ];
  return parts.length === 0 ? "NULL::json" : `json_build_object(${parts.join(",\n    ")})`;
}
