import type { DetectedCheck } from "./detector.ts";

type Measured = Pick<DetectedCheck, "score" | "threshold" | "triggered">;

/** Doubles cannot tell 1 minus a smaller value from 1, and detectors that round report 0. */
const SMALLEST_P_VALUE = 1e-16;

/**
 * The score of a distance, which grows with drift: as the detector reports it.
 *
 * @param limit Its threshold; null if there is none, or if it is not what the detector compares with.
 */
export function scoreDistance(value: number | null, limit: number | null, triggered: boolean): Measured {
  return toMeasured(value, limit, triggered);
}

/**
 * The score of a p-value, which shrinks with drift: `-log10(p)`, and `-log10(alpha)` as its threshold. `severity`, `cusum`
 * and `quantile` take a higher score for more drift, and weigh score / threshold, which is now at least 1 exactly if p is
 * at most alpha. `1 - p` over `1 - alpha` would be too, but with alpha 0.05 it never exceeds 1.053, so that no severity
 * above that could be reached, and all strong drift would look the same.
 *
 * @param p From 0 to 1. Below 1e-16 it counts as that: scores end at 16.
 */
export function scorePValue(p: number | null, alpha: number | null, triggered: boolean): Measured {
  const score = p === null ? null : toLog(Math.max(p, SMALLEST_P_VALUE));
  return toMeasured(score, alpha === null || alpha <= 0 ? null : toLog(alpha), triggered);
}

/** 0.001 -> 3; at least 0. */
function toLog(p: number): number {
  return Math.max(0, -Math.log10(p));
}

/**
 * Leaves out a threshold that contradicts the verdict. A detector may compare other figures than those it reports, fire
 * only above a threshold that the score equals, or be overruled by a test.
 */
function toMeasured(value: number | null, limit: number | null, triggered: boolean): Measured {
  const score = value !== null && Number.isFinite(value) ? value : null;
  const threshold = limit !== null && Number.isFinite(limit) ? limit : null;
  const isConsistent =
    score === null || threshold === null || threshold <= 0 || score / threshold >= 1 === triggered;
  return { score, threshold: isConsistent ? threshold : null, triggered };
}

/** A figure beside its limit, as reported: `0.001 < 0.05`. */
export function describeComparison(value: number | null, limit: number | null): string {
  if (value === null) return "without a value";
  if (limit === null) return String(value);
  const sign = value === limit ? "=" : value < limit ? "<" : ">";
  return `${value} ${sign} ${limit}`;
}
