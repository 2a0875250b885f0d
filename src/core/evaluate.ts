import { z } from "zod";
import type { Evidence, FailedTraining } from "./evidence.ts";
import type { Policy } from "./policy.ts";
import { computeBackoffSeconds } from "./training.ts";

/** One of the three conditions that must hold before a model is retrained. */
export const Criterion = z.object({
  id: z.enum(["recent_drift_checks", "drift_alerts", "buffer_size"]),
  label: z.string(),
  required: z.number(),
  actual: z.number(),
  passed: z.boolean(),
});
export type Criterion = z.infer<typeof Criterion>;

/** Why a model is not retrained, in the words that `retraining_decisions.reason` holds. */
export const NoActionReason = z.enum([
  "no_recent_drift_checks",
  "no_drift_alerts",
  "insufficient_buffer",
  "already_acted_on",
  "retry_backoff",
  "training_in_flight",
]);
export type NoActionReason = z.infer<typeof NoActionReason>;

export const Verdict = z.object({
  decision: z.enum(["trigger", "no_action"]),
  /** `drift_detected`, or the failed criteria and guards, comma-separated. */
  reason: z.string(),
  criteria: z.array(Criterion),
  failed: z.array(NoActionReason),
  /** Score of the newest triggered alert; null for `no_action` and where the alert has none. */
  driftScore: z.number().nullable(),
  /** Feature of the newest triggered alert; null for `no_action` and where the alert has none. */
  feature: z.string().nullable(),
});
export type Verdict = z.infer<typeof Verdict>;

/**
 * Weighs evidence by a policy. Pure: the same evidence and policy give the same verdict, anywhere, at any time.
 *
 * `trigger` needs all three criteria of the guide (recent checks, triggered alerts, buffer; each met at exactly its
 * minimum); with the re-trigger guard on, as many alerts as are required that no training has answered, those of a failed
 * training only after its backoff; and, with the in-flight guard on, that no training of the model is under way.
 */
export function evaluate(evidence: Evidence, policy: Policy): Verdict {
  const criteria = weighCriteria(evidence, policy);
  const failed = criteria.filter((criterion) => !criterion.passed).map((criterion) => FAILURE[criterion.id]);
  failed.push(...applyGuards(evidence, policy));
  if (failed.length > 0) {
    return {
      decision: "no_action",
      reason: failed.join(","),
      criteria,
      failed,
      driftScore: null,
      feature: null,
    };
  }
  const newest = evidence.checks.newestTriggered[0];
  return {
    decision: "trigger",
    reason: "drift_detected",
    criteria,
    failed,
    driftScore: newest?.score ?? null,
    feature: newest?.feature ?? null,
  };
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

function applyGuards({ checks, alerts, inFlight, takenAt }: Evidence, policy: Policy): NoActionReason[] {
  const { minAlertsTriggered: required, retriggerGuard, inFlightGuard } = policy;
  const reasons: NoActionReason[] = [];
  // Too few alerts is its own reason; the guard speaks only where there would have been enough without it.
  if (retriggerGuard && checks.triggered >= required) {
    const kept = alerts.failed
      .filter((training) => new Date(takenAt) < endOfBackoff(training, policy))
      .reduce((sum, training) => sum + training.alerts, 0);
    if (alerts.unanswered < required) reasons.push("already_acted_on");
    else if (alerts.unanswered - kept < required) reasons.push("retry_backoff");
  }
  if (inFlightGuard && inFlight.length > 0) reasons.push("training_in_flight");
  return reasons;
}

/** From when on the alerts of a failed training may start another one. */
export function endOfBackoff({ endedAt, failures }: FailedTraining, { backoffSeconds }: Policy): Date {
  return new Date(new Date(endedAt).getTime() + computeBackoffSeconds(backoffSeconds, failures) * 1000);
}
