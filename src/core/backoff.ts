import type { Evidence, FailedTraining } from "./evidence.ts";

/** The settings that a backoff depends on. */
export interface BackoffPolicy {
  minAlertsTriggered: number;
  retriggerGuard: boolean;
  backoffSeconds: number;
}

const MAX_BACKOFF_SECONDS = 7 * 86_400;

/** How long the alerts of a training are held back after its nth failure: doubled with each failure, at most a week. */
function computeBackoffSeconds(baseSeconds: number, failures: number): number {
  return Math.min(MAX_BACKOFF_SECONDS, baseSeconds * 2 ** (failures - 1));
}

/** When the alerts of a failed training are released, Unix milliseconds. */
export function computeBackoffEnd(
  { endedAt, failures }: Pick<FailedTraining, "endedAt" | "failures">,
  { backoffSeconds }: Pick<BackoffPolicy, "backoffSeconds">,
): number {
  return Date.parse(endedAt) + computeBackoffSeconds(backoffSeconds, failures) * 1000;
}

/** The number of alerts that failed trainings hold back at an instant (Unix milliseconds). */
export function countHeldBack(failed: readonly FailedTraining[], policy: BackoffPolicy, at: number): number {
  return failed
    .filter((training) => at < computeBackoffEnd(training, policy))
    .reduce((sum, training) => sum + training.alerts, 0);
}

/**
 * The first instant after `from` (Unix milliseconds) at which enough alerts are released to meet the policy; null if the
 * backoffs never release enough.
 */
export function findEnoughAlertsAt(
  { unanswered, failed }: Pick<Evidence["alerts"], "unanswered" | "failed">,
  policy: BackoffPolicy,
  from: number,
): number | null {
  const ends = failed.map((training) => computeBackoffEnd(training, policy)).filter((end) => end > from);
  const isEnough = (at: number): boolean =>
    unanswered - countHeldBack(failed, policy, at) >= policy.minAlertsTriggered;
  return ends.toSorted((a, b) => a - b).find(isEnough) ?? null;
}

/**
 * When the alerts of a `trigger` decision may start another training, now that its own has failed: what a later verdict would
 * compute, applied to the decision's own evidence. Unix milliseconds; null if nothing is held back.
 */
export function computeAlertsBackAt(
  alerts: Pick<Evidence["alerts"], "unanswered" | "failed">,
  policy: BackoffPolicy,
  failure: { decisionId: number; endedAt: number },
): number | null {
  if (!policy.retriggerGuard) return null;
  const endedAt = new Date(failure.endedAt).toISOString();
  const heldBefore = alerts.failed.reduce((sum, training) => sum + training.alerts, 0);
  const failedAgain = alerts.failed.map((training) => ({
    ...training,
    endedAt,
    failures: training.failures + 1,
  }));
  const first = Math.max(0, alerts.unanswered - heldBefore);
  const failed = [
    ...failedAgain,
    ...(first > 0
      ? [{ decisionId: failure.decisionId, endedAt, conclusion: null, failures: 1, alerts: first }]
      : []),
  ];
  return findEnoughAlertsAt({ unanswered: alerts.unanswered, failed }, policy, failure.endedAt);
}
