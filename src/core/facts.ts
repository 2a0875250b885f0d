import { computeBackoffEnd } from "./backoff.ts";
import { bisect } from "./bisect.ts";
import { type Duration, toMs } from "./duration.ts";
import type { Evidence, WeighedCheck } from "./evidence.ts";

/**
 * Which checks count: all of them; those that no training has been for, except failed ones (all of them too if the re-trigger
 * guard is off); of these, those that are not held back after a failure; of these again, those that a training was for
 * (`failed`); or only those that no training was for at all.
 */
export type Counting = "all" | "unanswered" | "released" | "failed" | "new";

/** Evidence, seen at an instant. */
export interface Facts {
  evidence: Evidence;
  /** Unix milliseconds. */
  now: number;
  counting: Counting;
  /** Checks on fewer samples do not count; 0 for no limit. */
  sampleFloor: number;
  /** Whether an alert starts one training only. */
  isGuarded: boolean;
  /** How long the alerts of a failed training are held back; null for not at all. */
  backoff: Duration | null;
  /** Lists of checks that were taken from the evidence already, by what they are. */
  lists: Map<string, readonly WeighedCheck[]>;
}

/** The checks of the evidence that count, newest first. */
function listChecks(facts: Facts): readonly WeighedCheck[] {
  const { counting, evidence } = facts;
  const countsAll = counting === "all" || (counting !== "failed" && !isDiscounted(evidence));
  if (countsAll) return listAllChecks(facts);
  return remember(facts, counting, () => listAllChecks(facts).filter((check) => counts(check, facts)));
}

/** The checks that count and are younger than `within`, newest first. */
export function listChecksWithin(facts: Facts, within: Duration): readonly WeighedCheck[] {
  return remember(facts, within, () => takeWithin(listChecks(facts), facts.now - toMs(within)));
}

/** All checks that are younger than `within`, also those that a training was for, newest first. */
export function listAllChecksWithin(facts: Facts, within: Duration): readonly WeighedCheck[] {
  return remember(facts, `all ${within}`, () => takeWithin(listAllChecks(facts), facts.now - toMs(within)));
}

/** The checks up to the first that was not read, of each feature: what compares or adds up scores needs every one of them. */
export function withoutGaps(checks: readonly WeighedCheck[]): readonly WeighedCheck[] {
  return checks.some(({ hasGap }) => hasGap) ? checks.filter(({ hasGap }) => !hasGap) : checks;
}

/** All checks on enough samples, also those that a training was for, newest first. */
function listAllChecks(facts: Facts): readonly WeighedCheck[] {
  const { evidence, sampleFloor } = facts;
  const checks = weighedChecks(evidence);
  if (sampleFloor === 0) return checks;
  return remember(facts, "enough samples", () =>
    checks.filter(({ samples }) => (samples ?? 0) >= sampleFloor),
  );
}

/** Whether some of the checks do not always count: a training was for them. */
export function isDiscounted(evidence: Evidence): boolean {
  const checks = weighedChecks(evidence);
  const known = discounted.get(checks);
  if (known !== undefined) return known;
  const found = checks.some(({ answeredBy, failed }) => answeredBy !== null || failed !== null);
  discounted.set(checks, found);
  return found;
}

const discounted = new WeakMap<readonly WeighedCheck[], boolean>();

/** Several criteria need the same list. */
function remember(
  { lists }: Facts,
  name: string,
  compute: () => readonly WeighedCheck[],
): readonly WeighedCheck[] {
  const known = lists.get(name);
  if (known !== undefined) return known;
  const list = compute();
  lists.set(name, list);
  return list;
}

/** The checks after an instant, given newest first. */
function takeWithin(checks: readonly WeighedCheck[], start: number): readonly WeighedCheck[] {
  const count = bisect(checks, (check) => timeOf(check) > start);
  return count === checks.length ? checks : checks.slice(0, count);
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

/** The check with another score. */
export function withScore(check: WeighedCheck, score: number | null): WeighedCheck {
  const changed = { ...check, score };
  times.set(changed, timeOf(check));
  return changed;
}

/** The triggered alerts of the evidence's window that no training was for, except failed ones. */
export function listUnanswered(evidence: Evidence, now: number): WeighedCheck[] {
  const start = evidence.window === null ? Number.NEGATIVE_INFINITY : now - toMs(evidence.window);
  return weighedChecks(evidence).filter(
    (check) => check.triggered && check.answeredBy === null && timeOf(check) > start,
  );
}

/** How many of the newest checks a completed stage keeps. */
const KEPT_CHECKS = 50;

/** The evidence as a completed stage keeps it, for the report: the newest checks, and the newest alert of each feature. */
export function toKept(evidence: Evidence): Evidence {
  if (evidence.weighed === null || evidence.weighed.length <= KEPT_CHECKS) return evidence;
  const seen = new Set<string | null>();
  let others = KEPT_CHECKS;
  const weighed = evidence.weighed.filter(({ feature }, index) => {
    const isNewest = !seen.has(feature);
    seen.add(feature);
    return index < KEPT_CHECKS || (isNewest && others-- > 0);
  });
  return { ...evidence, weighed };
}

/** Whether a check counts. */
export function counts({ answeredBy, failed }: WeighedCheck, facts: Facts): boolean {
  const { counting, now, backoff, isGuarded } = facts;
  if (counting === "all") return true;
  const isNew = answeredBy === null && failed === null;
  if (counting === "new") return isNew;
  if (answeredBy !== null) return !isGuarded;
  if (counting === "failed" && isNew) return false;
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
      hasGap: false,
      answeredBy: index < alerts.unanswered ? null : (alerts.answeredBy[0]?.decisionId ?? 0),
      failed: index < fresh ? null : (failures[index - fresh] ?? null),
    };
  });
}

/** The facts of a snapshot, as a change to it would meet them: alerts that a training was for do not count. */
export function snapshotFacts(evidence: Evidence, counting: Counting = "unanswered"): Facts {
  return {
    evidence,
    now: Date.parse(evidence.takenAt),
    counting,
    sampleFloor: 0,
    isGuarded: true,
    backoff: null,
    lists: new Map(),
  };
}
