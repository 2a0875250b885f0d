import { type Duration, toMs } from "./duration.ts";
import type { Evidence, FailedTraining } from "./evidence.ts";

const MAX_BACKOFF_MS = 7 * 86_400_000;

/**
 * When the alerts of a failed training are released, Unix milliseconds: after `base`, doubled with each failure in a row, at
 * most a week.
 */
export function computeBackoffEnd(
  { endedAt, failures }: Pick<FailedTraining, "endedAt" | "failures">,
  base: Duration,
): number {
  return Date.parse(endedAt) + Math.min(MAX_BACKOFF_MS, toMs(base) * 2 ** (failures - 1));
}

/**
 * When the alerts of a `trigger` decision may start another training, now that its own has failed: once the first of them are
 * released that are enough. Unix milliseconds; null if nothing is held back.
 *
 * @param required How many alerts the policy requires.
 */
export function computeAlertsBackAt(
  alerts: Pick<Evidence["alerts"], "unanswered" | "failed">,
  { base, required }: { base: Duration | null; required: number },
  endedAt: number,
): number | null {
  if (base === null) return null;
  const end = new Date(endedAt).toISOString();
  const heldBefore = alerts.failed.reduce((sum, training) => sum + training.alerts, 0);
  const released = [
    ...alerts.failed.map(({ failures, alerts: count }) => ({ failures: failures + 1, count })),
    { failures: 1, count: Math.max(0, alerts.unanswered - heldBefore) },
  ].map(({ failures, count }) => ({ count, at: computeBackoffEnd({ endedAt: end, failures }, base) }));
  const times = released.flatMap(({ count, at }) => (count > 0 && at > endedAt ? [at] : []));
  const countAt = (time: number): number =>
    released.reduce((sum, { count, at }) => sum + (at <= time ? count : 0), 0);
  return times.toSorted((a, b) => a - b).find((time) => countAt(time) >= required) ?? null;
}
