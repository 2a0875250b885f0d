import type { Criterion, Measurement } from "../check.ts";
import { duration, toMs } from "../duration.ts";
import type { Evidence, WeighedCheck } from "../evidence.ts";
import type { Lever } from "../explain/lever.ts";
import { addChecks } from "../explain/levers.ts";
import { capScores } from "../explain/score-levers.ts";
import { type Fields, type FieldValues, figure } from "../fields.ts";
import { type Facts, listChecksWithin, timeOf, withoutGaps, snapshotFacts } from "../facts.ts";
import { formatRatio } from "../format.ts";

const fields = {
  worst: {
    schema: figure({ above: 0 }),
    optional: true,
    meaning: "The largest score must be at least this many times its threshold.",
  },
  mean: {
    schema: figure({ above: 0 }),
    optional: true,
    meaning: "The mean of the scores must be at least this many times their thresholds.",
  },
  within: { schema: duration("1m"), default: "7d", meaning: "Older checks do not count." },
} as const satisfies Fields;

type Settings = FieldValues<typeof fields>;

/** The drift is strong, measured by score / threshold. */
export const severity = {
  id: "severity",
  key: "severity",
  reason: "severity_too_low",
  carries: "drift_detected",
  isDrift: true,
  label: "Drift severe enough?",
  fields,
  columns: ["score", "threshold"],
  shorthand: "worst",
  docs: {
    rule: "The worst (or the mean) score / threshold within the time reaches the limit.",
    example: "severity: { worst: 2.0 }",
    formula: "max or mean of score / threshold, over checks with a threshold above 0",
  },
  findFaults: ({ worst, mean }) =>
    (worst === undefined) === (mean === undefined)
      ? [{ path: [], message: "severity takes either worst or mean, such as { worst: 2 }" }]
      : [],
  needs: ({ within }) => ({ within, quietChecks: true, weighsScores: true }),
  evaluate: measure,
  report: ({ actual, required }, { settings }) => [
    `${nameOf(settings)} score / threshold: ${formatRatio(actual)}`,
    `Required: ${formatRatio(required)}`,
  ],
  summarize: ({ actual }, { settings }) =>
    `Severity: ${nameOf(settings).toLowerCase()} score is ${formatRatio(actual)} times its threshold`,
  brief: ({ result: { actual, required }, settings }) =>
    `${nameOf(settings).toLowerCase()} drift score at ${formatRatio(actual)} times its threshold, below ${formatRatio(required)}`,
  explain: ({ result: { actual, required }, settings }) => [
    `Severity: ${nameOf(settings).toLowerCase()} score / threshold is ${formatRatio(actual)}, ${formatRatio(required)} required`,
  ],
  advise: () => [],
  levers: (settings, place) => ({
    raise: [aCheckAt(settings, place)],
    lower: [capScores("severity", settings.within, (evidence) => computeExcess(evidence, settings))],
  }),
} as const satisfies Criterion<typeof fields>;

function nameOf({ worst }: Settings): string {
  return worst === undefined ? "Mean" : "Worst";
}

/** score / threshold; null if either is unknown or the threshold is not positive. */
export function ratioOf({ score, threshold }: Pick<WeighedCheck, "score" | "threshold">): number | null {
  return score === null || threshold === null || threshold <= 0 ? null : score / threshold;
}

function listRatios(facts: Facts, { within, worst }: Settings): { at: number; ratio: number }[] {
  const checks = listChecksWithin(facts, within);
  return (worst === undefined ? withoutGaps(checks) : checks).flatMap((check) => {
    const ratio = ratioOf(check);
    return ratio === null ? [] : [{ at: timeOf(check), ratio }];
  });
}

function compute(ratios: readonly { ratio: number }[], { worst }: Settings): number {
  if (ratios.length === 0) return 0;
  if (worst !== undefined) return Math.max(...ratios.map(({ ratio }) => ratio));
  return ratios.reduce((sum, { ratio }) => sum + ratio, 0) / ratios.length;
}

function measure(facts: Facts, settings: Settings): Measurement {
  const required = settings.worst ?? settings.mean ?? 0;
  const ratios = listRatios(facts, settings);
  const actual = compute(ratios, settings);
  if (actual >= required || settings.worst !== undefined)
    return { required, actual, passed: actual >= required };
  // The mean rises when low scores leave the window.
  const ends = ratios.map(({ at }) => at + toMs(settings.within)).toSorted((a, b) => a - b);
  const nextLookAt = ends.find((end) => {
    const left = ratios.filter(({ at }) => at + toMs(settings.within) > end);
    return left.length > 0 && compute(left, settings) >= required;
  });
  return { required, actual, passed: false, nextLookAt: nextLookAt ?? null };
}

/** Which share of the scores is too much. */
function computeExcess(evidence: Evidence, settings: Settings): number {
  const actual = compute(listRatios(snapshotFacts(evidence), settings), settings);
  return 1 - (settings.worst ?? settings.mean ?? 1) / actual;
}

function aCheckAt(settings: Settings, place: string): Lever {
  const required = settings.worst ?? settings.mean ?? 1;
  return {
    id: `score@${place}`,
    check: "severity",
    kind: "figure",
    scale: required,
    limit: (evidence: Evidence) => required * (evidence.weighed?.length ?? 0) + 2 * required + 1,
    guess: (evidence) => {
      const ratios = listRatios(snapshotFacts(evidence), settings);
      const sum = ratios.reduce((total, { ratio }) => total + ratio, 0);
      return settings.worst ?? required * (ratios.length + 1) - sum;
    },
    apply: (evidence, size, { at }) =>
      addChecks(evidence, [{ triggered: false, score: size, threshold: 1 }], at),
    describe: (size) => `a check with a score ${formatRatio(size)} times its threshold`,
  };
}
