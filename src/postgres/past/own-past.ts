import type pg from "pg";
import type { Past, PastApproval, PastDecision, PastSnooze, PastTraining } from "../../core/backtest/past.ts";
import { toMillis } from "../column-sql.ts";
import { IS_REQUESTED, isOfAll, MOCK, REQUESTED_AT } from "../trainings-sql.ts";

/** What our own tables know of a model's past. */
export type OwnPast = Omit<Past, "from" | "checks" | "arrivals" | "arrivalStepMs" | "buffer"> & {
  /** When each batch was first seen in the evidence of a decision. */
  batchesSeen: Record<string, number>;
};

/** So many trainings are read, the newest. */
const MOST_TRAININGS = 5_000;
/** How many decisions are read; a decision a minute makes half a million a year. */
export const MOST_DECISIONS = 200_000;

/**
 * Reads what our own tables know, in one snapshot.
 *
 * @param start Unix milliseconds: decisions since then, because their trainings may be for alerts that still count.
 */
export async function readOwnPast(
  pool: pg.Pool,
  {
    model,
    trainer,
    start,
    needsBatches,
  }: { model: string; trainer: string; start: number; needsBatches: boolean },
): Promise<OwnPast> {
  const client = await pool.connect();
  const since = new Date(start);
  const read = async <Row extends pg.QueryResultRow>(text: string, values: unknown[]): Promise<Row[]> =>
    (await client.query<Row>(text, values)).rows;
  try {
    await client.query("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY");
    const [clock] = await read<{ to: number; firstDecisionAt: number | null }>(CLOCK, [model]);
    const decisions = await read<PastDecision>(DECISIONS, [model, since, trainer]);
    const trainings = await read<PastTraining>(selectTrainings(trainer), [model, trainer]);
    const others = await read<{ at: number }>(selectOthers(trainer), [model, since]);
    const events = await read<{ at: number }>(EVENTS, [model, since]);
    const snoozes = await read<PastSnooze>(SNOOZES, [model, since]);
    const approvals = await read<ApprovalRow>(APPROVALS, [model, since]);
    const batches = needsBatches ? await read<{ batch: string; at: number }>(BATCHES, [model, since]) : [];
    await client.query("COMMIT");
    return {
      to: clock?.to ?? 0,
      firstDecisionAt: clock?.firstDecisionAt ?? null,
      decisions,
      trainings: trainings.toReversed(),
      requestsOfOthers: others.map(({ at }) => at),
      events: events.map(({ at }) => at),
      snoozes,
      approvals: approvals.map(toApproval),
      batchesSeen: Object.fromEntries(batches.map(({ batch, at }) => [batch, at])),
    };
  } finally {
    // Also ends a transaction that failed.
    await client.query("ROLLBACK").catch(() => {});
    client.release();
  }
}

const CLOCK = `SELECT ${toMillis("now()")} AS to, ${toMillis(`LEAST(
    (SELECT taken_at FROM retraining_decisions WHERE model = $1 ORDER BY id LIMIT 1),
    (SELECT first_decision_at FROM retraining_pruned WHERE model = $1))`)} AS "firstDecisionAt"`;

const DECISIONS = `SELECT id, ${toMillis("taken_at")} AS at,
  CASE WHEN decision IN ('trigger', 'trigger_mock') THEN 'trigger' ELSE 'no_action' END AS decision,
  COALESCE(reason_codes, '{}') AS codes, COALESCE(policy_hash, '') AS "policyHash",
  COALESCE(buffer_size, 0)::float8 AS "bufferSize", forced,
  CASE WHEN decision IN ('trigger', 'trigger_mock') AND trainer = $3 THEN COALESCE(alert_ids, '{}') ELSE '{}' END AS "alertIds"
FROM retraining_decisions WHERE model = $1 AND run_id IS NOT NULL AND taken_at > $2
ORDER BY taken_at LIMIT ${MOST_DECISIONS + 1}`;

/** A training that was never requested is refused; what the mock only shows has succeeded at once. */
function selectTrainings(trainer: string): string {
  const result =
    trainer === MOCK
      ? `CASE WHEN ${IS_REQUESTED} THEN 'succeeded' ELSE 'refused' END`
      : `CASE WHEN state = 'succeeded' THEN 'succeeded' WHEN NOT (${IS_REQUESTED}) THEN 'refused'
          WHEN state IN ('failed', 'cancelled') THEN 'failed' ELSE 'open' END`;
  const endedAt = trainer === MOCK ? REQUESTED_AT : "ended_at";
  return `SELECT decision_id AS "decisionId", ${toMillis("decision.taken_at")} AS "decidedAt",
  COALESCE(buffer_size, 0)::float8 AS "bufferSize", ${toMillis(REQUESTED_AT)} AS "requestedAt", ${result} AS result,
  ${toMillis(endedAt)} AS "endedAt", COALESCE(duration_seconds, extract(epoch FROM ended_at - started_at)::float8) AS seconds
FROM retraining_dispatches AS dispatch JOIN retraining_decisions AS decision ON decision.id = decision_id
WHERE model_name = $1 AND dispatch.trainer = $2 ORDER BY decision_id DESC LIMIT ${MOST_TRAININGS}`;
}

function selectOthers(trainer: string): string {
  return `SELECT ${toMillis(REQUESTED_AT)} AS at FROM retraining_dispatches
WHERE model_name <> $1 AND ${isOfAll(trainer)} AND ${IS_REQUESTED} AND ${REQUESTED_AT} > $2 ORDER BY 1`;
}

const EVENTS = `SELECT ${toMillis("received_at")} AS at FROM retraining_events
WHERE model = $1 AND outcome <> 'drift_run_failed' AND received_at > $2 ORDER BY 1`;

const SNOOZES = `SELECT ${toMillis("created_at")} AS from, ${toMillis("LEAST(until, COALESCE(ended_at, until))")} AS to,
  ${toMillis("until")} AS until, snoozed_by AS by, reason
FROM retraining_snoozes WHERE model = $1 AND until > $2 ORDER BY created_at`;

const APPROVALS = `SELECT decision_id AS "decisionId", ${toMillis("requested_at")} AS "requestedAt",
  ${toMillis("expires_at")} AS "expiresAt", ${toMillis("answered_at")} AS "answeredAt", state, answered_by AS by, reason,
  (SELECT ${toMillis("taken_at")} FROM retraining_decisions WHERE id = settled_by) AS "settledAt"
FROM retraining_approvals WHERE model = $1 AND expires_at > $2 ORDER BY id`;

interface ApprovalRow extends Omit<PastApproval, "answer" | "settled"> {
  answeredAt: number | null;
  settledAt: number | null;
  state: string;
  by: string | null;
  reason: string | null;
}

function toApproval({ answeredAt, settledAt, state, by, reason, ...request }: ApprovalRow): PastApproval {
  const answer = state === "rejected" ? ("rejected" as const) : ("approved" as const);
  return {
    ...request,
    answer:
      answeredAt === null ? null : { state: answer, at: answeredAt, by: by ?? "", reason: reason ?? "" },
    settled: settledAt !== null && (state === "used" || state === "void") ? { state, at: settledAt } : null,
  };
}

const BATCHES = `SELECT batch, min(at) AS at FROM (
  SELECT listed ->> 'batch' AS batch, ${toMillis("taken_at")} AS at
  FROM retraining_decisions, jsonb_array_elements(evidence #> '{buffer,batches}') AS listed
  WHERE model = $1 AND run_id IS NOT NULL AND taken_at > $2
) AS seen WHERE batch IS NOT NULL GROUP BY batch`;
