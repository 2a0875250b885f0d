import type { Criterion } from "../check.ts";
import { describeSpan, duration, toMs } from "../duration.ts";
import type { Evidence } from "../evidence.ts";
import { trainNow } from "../explain/levers.ts";
import type { Fields } from "../fields.ts";
import { formatInstant, formatRatio } from "../format.ts";

const fields = {
  atLeast: {
    schema: duration("1m"),
    default: "60d",
    meaning: "The age at which the model is retrained anyway.",
  },
} as const satisfies Fields;

const DAY_MS = 86_400_000;

/** The last successful training is too long ago. */
export const maxAge = {
  id: "max_age",
  key: "maxAge",
  reason: "max_age_not_reached",
  carries: "max_age",
  isDrift: false,
  label: "Maximum age reached?",
  unit: "days",
  fields,
  shorthand: "atLeast",
  docs: {
    rule: "The last successful training ended at least this long ago; without one, the first decision about the model counts.",
    example: "maxAge: 60d",
    source: "21 to 30 days for daily data, up to 8 weeks for weekly data: arXiv 2506.05776 (forecasting)",
  },
  needs: () => ({ lastTraining: true }),
  evaluate({ evidence, now }, { atLeast: age }) {
    const end = originOf(evidence) + toMs(age);
    const actual = Math.max(0, Math.floor(((now - originOf(evidence)) / DAY_MS) * 1000) / 1000);
    const passed = now >= end;
    return { required: toMs(age) / DAY_MS, actual, passed, nextLookAt: passed ? null : end };
  },
  report: ({ actual, required }) => [
    `Age: ${formatRatio(actual)} days`,
    `Required: ${formatRatio(required)} days`,
  ],
  summarize: ({ actual }) => `Age: ${formatRatio(actual)} days since the last successful training`,
  brief: ({ evidence, settings: { atLeast: age } }) =>
    `younger than ${age} until ${formatInstant(originOf(evidence) + toMs(age))}`,
  explain: ({ evidence, now, settings: { atLeast: age } }) => {
    const origin = originOf(evidence);
    const what = evidence.trainings.lastSucceeded
      ? "the last successful training ended"
      : "no training has succeeded; the first decision was made";
    return [
      `Age: ${what} ${describeSpan(now - origin)} ago, ${age} required (reached ${formatInstant(origin + toMs(age))})`,
    ];
  },
  advise: () => [],
  levers: () => ({ raise: [], lower: [trainNow("max_age")] }),
} as const satisfies Criterion<typeof fields>;

/** Since when the age counts, Unix milliseconds. */
function originOf({ trainings, takenAt }: Evidence): number {
  return Date.parse(trainings.lastSucceeded?.at ?? trainings.firstDecisionAt ?? takenAt);
}
