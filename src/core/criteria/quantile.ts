import { atLeast, type Criterion } from "../check.ts";
import { duration, toMs } from "../duration.ts";
import type { Evidence, WeighedCheck } from "../evidence.ts";
import type { Lever } from "../explain/lever.ts";
import { addChecks, switchOver } from "../explain/levers.ts";
import { type Fields, type FieldValues, figure, whole } from "../fields.ts";
import {
  counts,
  type Facts,
  listAllChecksWithin,
  snapshotFacts,
  timeOf,
  weighedChecks,
  withoutGaps,
  withScore,
} from "../facts.ts";
import { formatCount, formatRatio, toPlain } from "../format.ts";

const fields = {
  q: {
    schema: figure({ above: 0, max: 0.5 }),
    default: 0.05,
    meaning: "The share of scores that count as unusually high.",
  },
  last: {
    schema: whole(2, 500),
    default: 10,
    meaning:
      "How many earlier scores of its feature a score is compared with. A feature with fewer does not count.",
  },
  within: { schema: duration("1m"), default: "7d", meaning: "Older checks do not count." },
  reach: { schema: duration("1h"), default: "365d", meaning: "How far back the earlier scores may be." },
} as const satisfies Fields;

type Settings = FieldValues<typeof fields>;

/** A score is unusually high for its feature. */
export const quantile = {
  id: "quantile",
  key: "quantile",
  reason: "no_unusual_score",
  carries: "drift_detected",
  isDrift: true,
  label: "Unusually high score?",
  fields,
  columns: ["score"],
  shorthand: "q",
  docs: {
    rule: "A score within the time is above the 1 - q quantile of the scores of its feature before it.",
    example: "quantile: { q: 0.05, last: 10 }",
    formula: "score > quantile(1 - q) of the last w scores, interpolated linearly",
    source: "Modyn, SIGMOD 2025 (arXiv 2312.06254): dynamic threshold",
  },
  findFaults: ({ within, reach }) =>
    toMs(reach) < toMs(within) ? [{ path: ["reach"], message: "expected at least as long as within" }] : [],
  needs: ({ within, reach }) => ({ within, reach, quietChecks: true, weighsScores: true }),
  evaluate: (facts, settings) => atLeast(1, countUnusual(facts, settings)),
  report: ({ actual }) => [`Unusually high scores: ${formatCount(actual)}`, "Required: 1"],
  summarize: ({ actual }) => `Unusually high scores: ${formatCount(actual)}`,
  brief: () => "no unusually high score",
  explain: ({ settings: { q, last } }) => [
    `Unusual scores: none above the ${formatRatio(100 * (1 - q))} % quantile of the last ${formatCount(last)} scores of its feature`,
  ],
  advise: () => [],
  levers: (settings, place) => ({
    raise: [anUnusualScore(settings, place)],
    lower: [usualScores(settings, place)],
  }),
} as const satisfies Criterion<typeof fields>;

/** The scores of one feature, newest first. */
type Series = { check: WeighedCheck; score: number }[];

function listSeries(facts: Facts, reach: string): Map<string | null, Series> {
  const series = new Map<string | null, Series>();
  for (const check of withoutGaps(listAllChecksWithin(facts, reach))) {
    if (check.score === null) continue;
    const known = series.get(check.feature);
    if (known) known.push({ check, score: check.score });
    else series.set(check.feature, [{ check, score: check.score }]);
  }
  return series;
}

function countUnusual(facts: Facts, settings: Settings): number {
  let unusual = 0;
  for (const scores of listSeries(facts, settings.reach).values()) {
    scores.forEach((_, index) => {
      if (findExceeded(scores, index, facts, settings) !== null) unusual += 1;
    });
  }
  return unusual;
}

/** The bar that a score is above; null if it is not unusually high, or does not count. */
function findExceeded(
  scores: Series,
  index: number,
  facts: Facts,
  { q, last, within }: Settings,
): number | null {
  const { check, score } = scores[index] as Series[number];
  if (timeOf(check) <= facts.now - toMs(within) || !counts(check, facts)) return null;
  const bar = findBar(scores.slice(index + 1, index + 1 + last), { q, last });
  return bar !== null && score > bar ? bar : null;
}

/** The quantile of the scores; null if there are too few. */
function findBar(scores: Series, { q, last }: Pick<Settings, "q" | "last">): number | null {
  if (scores.length < last) return null;
  const sorted = scores.map(({ score }) => score).toSorted((a, b) => a - b);
  const position = (sorted.length - 1) * (1 - q);
  const [low = 0, high = low] = [sorted[Math.floor(position)], sorted[Math.ceil(position)]];
  return low + (high - low) * (position - Math.floor(position));
}

/** A further score of the feature whose bar is nearest to its newest score. */
function anUnusualScore(settings: Settings, place: string): Lever {
  const findTarget = (facts: Facts): { feature: string | null; bar: number } | null => {
    const targets = [...listSeries(facts, settings.reach)].flatMap(([feature, scores]) => {
      const bar = findBar(scores.slice(0, settings.last), settings);
      return bar === null ? [] : [{ feature, bar, distance: bar - (scores[0]?.score ?? 0) }];
    });
    return targets.toSorted((a, b) => a.distance - b.distance)[0] ?? null;
  };
  const targetOf = (evidence: Evidence) => findTarget(snapshotFacts(evidence, "all"));
  return {
    id: `unusual_score@${place}`,
    check: "quantile",
    kind: "figure",
    scale: 1,
    limit(evidence) {
      const target = targetOf(evidence);
      return target === null ? 0 : Math.max(1, 2 * target.bar);
    },
    guess: (evidence) => targetOf(evidence)?.bar ?? 0,
    apply(evidence, size, { at, original }) {
      const feature = targetOf(original)?.feature ?? null;
      return addChecks(evidence, [{ triggered: false, feature, score: size }], at);
    },
    describe: (size, evidence) =>
      `a score of ${formatRatio(size)} or more for ${toPlain(targetOf(evidence)?.feature ?? "a feature")}`,
  };
}

/** With four digits, never above the figure itself. */
function roundDown(figure: number): number {
  const unit = 10 ** (Math.floor(Math.log10(Math.abs(figure) || 1)) - 3);
  return Math.floor(figure / unit) * unit;
}

/** Scores that would not have been unusual: each at most at its bar. The oldest first, because it is part of later bars. */
function usualScores(settings: Settings, place: string): Lever {
  const lower = (evidence: Evidence): Map<WeighedCheck, number> => {
    const facts = snapshotFacts(evidence, "all");
    const lowered = new Map<WeighedCheck, number>();
    for (const scores of listSeries(facts, settings.reach).values()) {
      for (let index = scores.length - 1; index >= 0; index -= 1) {
        const bar = findExceeded(scores, index, facts, settings);
        if (bar === null) continue;
        const { check } = scores[index] as Series[number];
        lowered.set(check, bar);
        scores[index] = { check, score: bar };
      }
    }
    return lowered;
  };
  return {
    ...switchOver(`usual_scores@${place}`, "quantile", "", (evidence) => {
      const lowered = lower(evidence);
      return {
        ...evidence,
        weighed: weighedChecks(evidence).map((check) => {
          const score = lowered.get(check);
          return score === undefined ? check : withScore(check, score);
        }),
      };
    }),
    limit: (evidence) => Number(lower(evidence).size > 0),
    describe: (_, evidence) => {
      const lowered = [...lower(evidence)];
      const [first] = lowered;
      const { feature = null } = first?.[0] ?? {};
      return first && lowered.length === 1
        ? `a score of ${formatRatio(roundDown(first[1]))} or less for ${toPlain(feature ?? "a feature")}`
        : `none of the ${formatCount(lowered.length)} unusual scores`;
    },
  };
}
