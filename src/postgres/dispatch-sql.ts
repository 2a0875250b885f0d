import { type Dispatch, type DispatchPatch, OPEN_STATES } from "../core/dispatch/dispatch.ts";

/** The states of a dispatch whose training may be in progress, as a list for `IN (...)`. */
export const OPEN = OPEN_STATES.map((state) => `'${state}'`).join(", ");

const COLUMNS = {
  state: "state",
  reason: "reason_code",
  externalId: "external_id",
  url: "url",
  statusUrl: "status_url",
  status: "status",
  conclusion: "conclusion",
  attempt: "run_attempt",
  durationSeconds: "duration_seconds",
  extraRuns: "extra_runs",
  error: "error",
  createdAt: "created_at",
  askedAt: "asked_at",
  lastSeenAt: "heard_at",
  unreachableSince: "silent_since",
  startedAt: "started_at",
  endedAt: "ended_at",
} as const satisfies Record<keyof Dispatch, string>;

const TIMES: readonly string[] = [
  "createdAt",
  "askedAt",
  "lastSeenAt",
  "unreachableSince",
  "startedAt",
  "endedAt",
];

/** Selects dispatches, each with the decision that made it. The caller adds the WHERE clause. */
export const SELECT_RECORD = `
SELECT decision_id AS "decisionId", run_id AS "runId", decision.model, dispatch.trainer, dispatch.request,
  settings_hash AS "settingsHash", version, extract(epoch FROM clock_timestamp())::float8 * 1000 AS "databaseNow",
  json_build_object('runId', run_id, 'model', decision.model, 'reason', decision.reason,
    'driftScore', CASE jsonb_typeof(evidence #> '{checks,newestTriggered,0,score}')
      WHEN 'number' THEN evidence #> '{checks,newestTriggered,0,score}' END,
    'bufferSize', evidence #> '{buffer,size}') AS "order",
  evidence #>> '{checks,newestTriggered,0,feature}' AS feature, evidence -> 'alerts' AS alerts,
  COALESCE(evidence #>> '{buffer,unit}', 'ratings') AS unit,
  json_build_object(${Object.entries(COLUMNS)
    .map(([name, column]) => `'${name}', ${TIMES.includes(name) ? toMs(column) : `dispatch.${column}`}`)
    .join(", ")}) AS dispatch
FROM retraining_dispatches AS dispatch JOIN retraining_decisions AS decision ON decision.id = decision_id`;

/** The assignments of an UPDATE that writes a patch, and their values. `firstPosition` is the number of the first parameter. */
export function toAssignments(
  patch: DispatchPatch,
  firstPosition: number,
): { assignments: string; values: unknown[] } {
  const entries = Object.entries(patch);
  const assignments = entries.map(([name], index) => {
    const value = `$${index + firstPosition}`;
    return `${COLUMNS[name as keyof Dispatch]} = ${TIMES.includes(name) ? `to_timestamp(${value}::float8 / 1000)` : value}`;
  });
  return { assignments: assignments.join(", "), values: entries.map(([, value]) => value) };
}

function toMs(column: string): string {
  return `floor(extract(epoch FROM dispatch.${column}) * 1000)::bigint`;
}
