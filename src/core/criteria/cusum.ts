import { atLeast, type Criterion } from "../check.ts";
import { duration } from "../duration.ts";
import type { Evidence } from "../evidence.ts";
import { addChecks } from "../explain/levers.ts";
import { capScores } from "../explain/score-levers.ts";
import { type Fields, type FieldValues, figure } from "../fields.ts";
import { type Facts, listChecksWithin, withoutGaps, snapshotFacts } from "../facts.ts";
import { formatRatio, toPlain } from "../format.ts";
import { ratioOf } from "./severity.ts";

const fields = {
  atLeast: { schema: figure({ above: 0, max: 1e6 }), default: 4, meaning: "The sum must reach this." },
  slack: {
    schema: figure({ above: -1, max: 1e6 }),
    default: 0.5,
    meaning: "How far above its threshold a score may be without adding to the sum, in thresholds.",
  },
  within: { schema: duration("1m"), default: "30d", meaning: "Older checks do not count." },
} as const satisfies Fields;

type Settings = FieldValues<typeof fields>;

/** Scores have been too high for long enough, each perhaps only a little. */
export const cusum = {
  id: "cusum",
  key: "cusum",
  reason: "cusum_too_low",
  carries: "drift_detected",
  isDrift: true,
  label: "Drift accumulated?",
  fields,
  columns: ["score", "threshold"],
  shorthand: "atLeast",
  docs: {
    rule: "The scores of one feature, each minus its threshold and a slack, add up to the limit.",
    example: "cusum: { atLeast: 4, slack: 0.5 }",
    formula:
      "S = max(0, S + score / threshold - 1 - slack) over the checks of a feature, oldest first; fires at S >= atLeast",
    source: "Cumulative sum chart; a strong benchmark in arXiv 2604.06438",
  },
  needs: ({ within }) => ({ within, quietChecks: true, weighsScores: true }),
  evaluate: (facts, settings) => atLeast(settings.atLeast, findHighest(facts, settings).sum),
  report: ({ actual, required }) => [`Sum: ${formatRatio(actual)}`, `Required: ${formatRatio(required)}`],
  summarize: ({ actual }) => `Drift accumulated to ${formatRatio(actual)}`,
  brief: ({ result: { actual, required } }) =>
    `accumulated drift of ${formatRatio(actual)}, below ${formatRatio(required)}`,
  explain: ({ result: { actual, required } }) => [
    `Accumulated drift: ${formatRatio(actual)}, ${formatRatio(required)} required`,
  ],
  advise: () => [],
  levers: (settings, place) => ({
    raise: [
      {
        id: `cusum_score@${place}`,
        check: "cusum",
        kind: "figure",
        scale: 1 + settings.atLeast + settings.slack,
        limit: () => 2 * (settings.atLeast + settings.slack + 1),
        guess: (evidence) =>
          settings.atLeast - findHighest(snapshotFacts(evidence), settings).sum + 1 + settings.slack,
        apply: (evidence, size, { at, original }) =>
          addChecks(
            evidence,
            [{ triggered: false, feature: featureOf(original, settings), score: size, threshold: 1 }],
            at,
          ),
        describe: (size, evidence) => {
          const feature = featureOf(evidence, settings);
          return `a score ${formatRatio(size)} times its threshold${feature === null ? "" : ` for ${toPlain(feature)}`}`;
        },
      },
    ],
    lower: [capScores("cusum", settings.within)],
  }),
} as const satisfies Criterion<typeof fields>;

/** The feature whose drift has accumulated most. */
function findHighest(facts: Facts, { slack, within }: Settings): { feature: string | null; sum: number } {
  const sums = new Map<string | null, number>();
  for (const check of withoutGaps(listChecksWithin(facts, within)).toReversed()) {
    const ratio = ratioOf(check);
    if (ratio !== null)
      sums.set(check.feature, Math.max(0, (sums.get(check.feature) ?? 0) + ratio - 1 - slack));
  }
  const [highest] = [...sums].map(([feature, sum]) => ({ feature, sum })).toSorted((a, b) => b.sum - a.sum);
  return highest ?? { feature: null, sum: 0 };
}

function featureOf(evidence: Evidence, settings: Settings): string | null {
  return findHighest(snapshotFacts(evidence), settings).feature;
}
