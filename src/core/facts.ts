import { computeBackoffEnd } from "./backoff.ts";
import { type Duration, toMs } from "./duration.ts";
import type { Evidence, WeighedCheck } from "./evidence.ts";

/**
 * Which checks count: all of them; those that no training has been for, except failed ones; or of these, those that are not
 * held back after a failure.
 */
export type Counting = "all" | "unanswered" | "released";

/** Evidence, seen at an instant. */
export interface Facts {
  evidence: Evidence;
  /** Unix milliseconds. */
  now: number;
  counting: Counting;
  /** Checks on fewer samples do not count; 0 for no limit. */
  sampleFloor: number;
  /** How long the alerts of a failed training are held back; null for not at all. */
  backoff: Duration | null;
}

/** The checks of the evidence that count, newest first. */
export function listChecks(facts: Facts): WeighedCheck[] {
  return listAllChecks(facts).filter((check) => counts(check, facts));
}

const times = new WeakMap<WeighedCheck, number>();

/** When a check was made, Unix milliseconds. Parsed once: a verdict and its explanation compare the times many times. */
export function timeOf(check: WeighedCheck): number {
  const known = times.get(check);
  if (known !== undefined) return known;
  const time = Date.parse(check.at);
  times.set(check, time);
  return time;
}

/** The checks that count and are younger than `within`, newest first. */
export function listChecksWithin(facts: Facts, within: Duration): WeighedCheck[] {
  const start = facts.now - toMs(within);
  return listChecks(facts).filter((check) => timeOf(check) > start);
}

/** All checks on enough samples, also those that a training was for, newest first. */
export function listAllChecks({ evidence, sampleFloor }: Facts): WeighedCheck[] {
  const checks = weighedChecks(evidence);
  return sampleFloor === 0 ? checks : checks.filter(({ samples }) => (samples ?? 0) >= sampleFloor);
}

function counts({ answeredBy, failed }: WeighedCheck, { counting, now, backoff }: Facts): boolean {
  if (counting === "all") return true;
  if (answeredBy !== null) return false;
  return (
    counting === "unanswered" ||
    backoff === null ||
    failed === null ||
    now >= computeBackoffEnd(failed, backoff)
  );
}

const reconstructed = new WeakMap<Evidence, WeighedCheck[]>();

/** The checks of the evidence. Evidence of an earlier version lists only counts, from which the alerts are reconstructed. */
export function weighedChecks(evidence: Evidence): WeighedCheck[] {
  if (evidence.weighed !== null) return evidence.weighed;
  const known = reconstructed.get(evidence);
  if (known) return known;
  const checks = reconstruct(evidence);
  reconstructed.set(evidence, checks);
  return checks;
}

function reconstruct({ checks, alerts, takenAt }: Evidence): WeighedCheck[] {
  const { newestTriggered } = checks;
  // The newest are the ones that no training has been for; of these, the oldest belong to the failed trainings.
  const failures = alerts.failed.flatMap(({ endedAt, failures: count, alerts: held }) =>
    Array.from({ length: held }, () => ({ endedAt, failures: count })),
  );
  const fresh = Math.max(0, alerts.unanswered - failures.length);
  return Array.from({ length: checks.triggered }, (_, index) => {
    const { id, checkedAt, feature, score, threshold } = newestTriggered[index] ?? {
      id: `unlisted-${index}`,
      checkedAt: newestTriggered.at(-1)?.checkedAt ?? takenAt,
      feature: null,
      score: null,
      threshold: null,
    };
    return {
      id: alerts.ids[index] ?? id,
      at: checkedAt,
      feature,
      score,
      threshold,
      triggered: true,
      samples: null,
      answeredBy: index < alerts.unanswered ? null : (alerts.answeredBy[0]?.decisionId ?? 0),
      failed: index < fresh ? null : (failures[index - fresh] ?? null),
    };
  });
}
