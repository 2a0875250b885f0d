import { z } from "zod";
import { countHeldBack, findEnoughAlertsAt } from "./backoff.ts";
import type { Evidence, TrainingInFlight } from "./evidence.ts";
import type { Policy } from "./policy.ts";

/** One of the three conditions that must hold before a model is retrained. */
export const Criterion = z.object({
  id: z.enum(["recent_drift_checks", "drift_alerts", "buffer_size"]),
  label: z.string(),
  required: z.number(),
  actual: z.number(),
  passed: z.boolean(),
});
export type Criterion = z.infer<typeof Criterion>;

/** Why a model is not retrained, as `retraining_decisions.reason` stores it. */
export const NoActionReason = z.enum([
  "no_recent_drift_checks",
  "no_drift_alerts",
  "insufficient_buffer",
  "already_acted_on",
  "retry_backoff",
  "training_in_flight",
]);
export type NoActionReason = z.infer<typeof NoActionReason>;

/** The one reason of a `trigger`. */
export const TRIGGER_REASON = "drift_detected";

export const Verdict = z.object({
  decision: z.enum(["trigger", "no_action"]),
  /** `drift_detected`, or the failed criteria and guards, comma-separated. */
  reason: z.string(),
  criteria: z.array(Criterion),
  failed: z.array(NoActionReason),
  /** Score of the newest triggered alert; null for `no_action`, and if the alert has none. */
  driftScore: z.number().nullable(),
  /** Feature of the newest triggered alert; null for `no_action`, and if the alert has none. */
  feature: z.string().nullable(),
  /**
   * The earliest instant (ISO 8601, the database's clock) at which a check that objects now could stop objecting through
   * time alone, whatever the other checks say. Null if time alone changes nothing, and for a `trigger`.
   */
  nextLookAt: z.string().nullable().default(null),
});
export type Verdict = z.infer<typeof Verdict>;

/**
 * Evaluates evidence against a policy. Pure: the same evidence and policy give the same verdict, anywhere, at any time.
 *
 * `trigger` needs all three criteria of the guide (recent checks, triggered alerts, buffer; each met at exactly its
 * minimum); with the re-trigger guard on, as many alerts as required that no training has answered (those of a failed
 * training count only after its backoff); and, with the in-flight guard on, that no training of the model is under way.
 */
export function evaluate(evidence: Evidence, policy: Policy): Verdict {
  const criteria = weighCriteria(evidence, policy);
  const objections: Objection[] = [
    ...criteria.filter(({ passed }) => !passed).map(({ id }) => ({ reason: FAILURE[id], endsAt: null })),
    ...applyGuards(evidence, policy),
  ];
  const failed = objections.map(({ reason }) => reason);
  if (failed.length > 0) {
    return {
      decision: "no_action",
      reason: failed.join(","),
      criteria,
      failed,
      driftScore: null,
      feature: null,
      nextLookAt: findNextLook(objections),
    };
  }
  const newest = evidence.checks.newestTriggered[0];
  return {
    decision: "trigger",
    reason: TRIGGER_REASON,
    criteria,
    failed,
    driftScore: newest?.score ?? null,
    feature: newest?.feature ?? null,
    nextLookAt: null,
  };
}

/** Why a check objects, and when it could stop objecting through time alone: Unix milliseconds, null for never. */
interface Objection {
  reason: NoActionReason;
  endsAt: number | null;
}

function findNextLook(objections: readonly Objection[]): string | null {
  const ends = objections.flatMap(({ endsAt }) => (endsAt === null ? [] : [endsAt]));
  return ends.length === 0 ? null : new Date(Math.min(...ends)).toISOString();
}

const FAILURE: Record<Criterion["id"], NoActionReason> = {
  recent_drift_checks: "no_recent_drift_checks",
  drift_alerts: "no_drift_alerts",
  buffer_size: "insufficient_buffer",
};

function weighCriteria({ checks, buffer }: Evidence, policy: Policy): Criterion[] {
  return [
    atLeast("recent_drift_checks", "Recent drift checks exist?", 1, checks.total),
    atLeast("drift_alerts", "Drift alerts triggered?", policy.minAlertsTriggered, checks.triggered),
    atLeast("buffer_size", "Sufficient buffer data?", policy.minBufferSize, buffer.size),
  ];
}

function atLeast(id: Criterion["id"], label: string, required: number, actual: number): Criterion {
  return { id, label, required, actual, passed: actual >= required };
}

function applyGuards(evidence: Evidence, policy: Policy): Objection[] {
  return [...weighAlerts(evidence, policy), ...weighFlight(evidence, policy)];
}

/** The re-trigger guard. It objects only if there would be enough alerts without it; too few is a reason of its own. */
function weighAlerts({ checks, alerts, takenAt }: Evidence, policy: Policy): Objection[] {
  const { minAlertsTriggered: required, retriggerGuard } = policy;
  if (!retriggerGuard || checks.triggered < required) return [];
  if (alerts.unanswered < required) return [{ reason: "already_acted_on", endsAt: null }];
  const now = Date.parse(takenAt);
  if (alerts.unanswered - countHeldBack(alerts.failed, policy, now) >= required) return [];
  return [{ reason: "retry_backoff", endsAt: findEnoughAlertsAt(alerts, policy, now) }];
}

/** The in-flight guard. It holds until the last of the trainings under way has ended, or reached its limit. */
function weighFlight(evidence: Evidence, { inFlightGuard }: Policy): Objection[] {
  const trainings = inFlightGuard ? findInFlight(evidence) : [];
  if (trainings.length === 0) return [];
  const limits = trainings.map(({ until }) => (until === null ? null : Date.parse(until)));
  const endsAt = limits.includes(null) ? null : Math.max(...limits.map(Number));
  return [{ reason: "training_in_flight", endsAt }];
}

/** The trainings that may still be under way: those that have not reached their limit. */
export function findInFlight({ inFlight, takenAt }: Evidence): TrainingInFlight[] {
  return inFlight.filter(({ until }) => until === null || Date.parse(until) > Date.parse(takenAt));
}
