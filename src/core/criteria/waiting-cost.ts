import type { Criterion, Measurement } from "../check.ts";
import { duration, toMs } from "../duration.ts";
import type { Evidence } from "../evidence.ts";
import { trainNow } from "../explain/levers.ts";
import { type Fields, type FieldValues, figure } from "../fields.ts";
import type { Facts } from "../facts.ts";
import { formatRatio } from "../format.ts";

const fields = {
  hourWorth: {
    schema: figure({ above: 0, max: 1e15 }),
    meaning: "How many row-days of waiting an hour of training is worth.",
  },
  assume: {
    schema: duration("1s", "30d"),
    default: "1h",
    meaning: "How long a training takes, until one of this model has succeeded.",
  },
} as const satisfies Fields;

type Settings = FieldValues<typeof fields>;

const DAY_MS = 86_400_000;

/** The data has waited so long in sum that a training is worth its time. */
export const waitingCost = {
  id: "waiting_cost",
  key: "waitingCost",
  reason: "waiting_cost_too_low",
  carries: "waiting_cost",
  isDrift: false,
  label: "Waiting costs more than training?",
  unit: "row-days",
  fields,
  shorthand: "hourWorth",
  docs: {
    rule: "The rows since the last training have waited so long in sum that it outweighs the time of a training.",
    example: "waitingCost: { hourWorth: 100000 }",
    formula:
      "sum over the waiting rows of (now - arrival) in days >= hourWorth x hours of training, these from a regression of the duration on the rows of this model's past trainings",
    source: "Data-incorporation latency: Modyn, SIGMOD 2025 (arXiv 2312.06254)",
  },
  needs: () => ({ waiting: true, growth: true, lastTraining: true }),
  evaluate: measure,
  report: ({ actual, required }) => [
    `Waiting: ${formatRatio(actual)} row-days`,
    `Required: ${formatRatio(required)} row-days`,
  ],
  summarize: ({ actual }) => `Data has waited ${formatRatio(actual)} row-days`,
  brief: ({ result: { actual, required } }) =>
    `the data has waited ${formatRatio(actual)} of ${formatRatio(required)} row-days`,
  explain: ({ result: { actual, required }, evidence, settings }) => [
    `Waiting cost: ${formatRatio(actual)} row-days, ${formatRatio(required)} required (a training takes about ${formatRatio(estimateHours(evidence, settings) * 60)} min)`,
  ],
  advise: () => [],
  levers: () => ({ raise: [], lower: [trainNow("waiting_cost")] }),
} as const satisfies Criterion<typeof fields>;

function measure({ evidence, now }: Facts, settings: Settings): Measurement {
  const { rows, rowDays } = evidence.buffer.waiting ?? { rows: 0, rowDays: 0 };
  const takenAt = Date.parse(evidence.takenAt);
  const required = settings.hourWorth * estimateHours(evidence, settings);
  const at = (time: number): number => rowDays + rows * ((time - takenAt) / DAY_MS);
  const actual = at(now);
  if (actual >= required) return { required, actual, passed: true };
  if (rows === 0) return { required, actual, passed: false };
  let crossing = Math.max(now + 1, Math.floor(takenAt + ((required - rowDays) / rows) * DAY_MS) - 1);
  // The division may be off by a rounding error.
  while (at(crossing) < required && crossing < Number.MAX_SAFE_INTEGER) crossing += 1;
  return { required, actual, passed: false, nextLookAt: crossing < MAX_TIME ? crossing : null };
}

/** The last instant that JavaScript can represent. */
const MAX_TIME = 8.64e15;

/** Least squares over past trainings, at the size of the buffer; their mean if they do not differ in size. */
function estimateHours({ trainings, buffer }: Evidence, { assume }: Settings): number {
  const { durations } = trainings;
  if (durations.length === 0) return toMs(assume) / 3_600_000;
  const mean = (figures: readonly number[]): number => figures.reduce((a, b) => a + b, 0) / figures.length;
  const meanRows = mean(durations.map(({ rows }) => rows));
  const meanSeconds = mean(durations.map(({ seconds }) => seconds));
  const spread = mean(durations.map(({ rows }) => (rows - meanRows) ** 2));
  const slope =
    spread === 0
      ? 0
      : mean(durations.map(({ rows, seconds }) => (rows - meanRows) * (seconds - meanSeconds))) / spread;
  // Extrapolation must not predict less than the quickest training took.
  const quickest = Math.min(...durations.map(({ seconds }) => seconds));
  return Math.max(quickest, meanSeconds + slope * ((trainings.nextRows ?? buffer.size) - meanRows)) / 3600;
}
