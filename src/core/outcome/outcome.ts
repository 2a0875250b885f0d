import { z } from "zod";
import { PermanentError } from "../errors.ts";
import { isHigherBetterBy } from "./direction.ts";

const METRIC = "must be the name of a metric, such as auc: 1 to 100 characters on one line";
const FIGURE = "must be a finite number: NaN and infinity say nothing about a model";

/** The metric of a report that only says whether the model was promoted. */
export const PROMOTION = "promotion";

/** What somebody reports about a training. */
export const OutcomeReport = z.strictObject({
  metric: z
    .string({ error: METRIC })
    .regex(/^(?!\s)[^\p{Cc}\p{Cs}]{1,100}(?<!\s)$/u, METRIC)
    .optional(),
  /** The metric of the model that was in use, and of the trained one. */
  before: z.number({ error: FIGURE }).optional(),
  after: z.number({ error: FIGURE }).optional(),
  /** Which figures are better; known for metrics such as rmse and auc. */
  direction: z
    .enum(["higher", "lower"], { error: 'must be "higher" or "lower": which is better' })
    .optional(),
  /** Whether the trained model took the place of the one before. */
  promoted: z.boolean({ error: "must be true or false" }).optional(),
});
export type OutcomeReport = z.infer<typeof OutcomeReport>;

/** What a training brought by one metric. */
export interface Outcome {
  metric: string;
  before: number | null;
  after: number | null;
  isHigherBetter: boolean | null;
  promoted: boolean | null;
}

/** An outcome as recorded. */
export interface RecordedOutcome extends Outcome {
  source: OutcomeSource;
  by: string;
  /** ISO 8601. */
  at: string;
}

/** How an outcome was reported. */
export type OutcomeSource = "command" | "api" | "mlflow" | "view";

/** What a training brought, all in all. */
export const BROUGHT = ["improved", "nothing", "worse", "unknown"] as const;
export type Brought = (typeof BROUGHT)[number];

export const BROUGHT_WORDS: Readonly<Record<Brought, string>> = {
  improved: "improved the model",
  nothing: "brought nothing",
  worse: "made it worse",
  unknown: "outcome unknown",
};

/** @throws PermanentError if the report says nothing, or leaves open which figures are better. */
export function toOutcome(report: OutcomeReport): Outcome {
  const { metric = null, before = null, after = null, direction, promoted = null } = report;
  const hasFigures = before !== null || after !== null;
  if (metric === null && (hasFigures || direction !== undefined))
    throw badInput("metric is missing: name what before and after measure, such as auc");
  if (!hasFigures && promoted === null)
    throw badInput("the report says nothing: give before and after, or promoted, or both");
  if (metric === PROMOTION && hasFigures)
    throw badInput(`metric is "${PROMOTION}", which stands for promoted alone: give the metric another name`);
  if (!hasFigures) return { metric: metric ?? PROMOTION, before, after, isHigherBetter: null, promoted };
  const name = metric ?? PROMOTION;
  return { metric: name, before, after, isHigherBetter: findDirection(name, direction), promoted };
}

function findDirection(metric: string, direction: OutcomeReport["direction"]): boolean {
  const known = isHigherBetterBy(metric);
  if (direction === undefined) {
    if (known !== null) return known;
    throw badInput(
      `direction is missing: ${metric} is no well-known metric, so say whether "higher" or "lower" is better`,
    );
  }
  const given = direction === "higher";
  if (known !== null && known !== given)
    throw badInput(
      `direction is "${direction}", but ${metric} is better when ${known ? "higher" : "lower"}: leave direction out, or give the metric another name`,
    );
  return given;
}

const badInput = (message: string): PermanentError => new PermanentError("BAD_INPUT", message);

/**
 * What a training brought. A model that was not promoted brought nothing. One that was promoted is an improvement, unless a
 * metric got worse and none better. If nobody says whether it was, the figures decide: `improved` if one is better and none worse, `worse` the
 * other way round, `nothing` if none changed, `unknown` if they contradict each other or are missing.
 *
 * Of several reports about the promotion the newest counts.
 */
export function judgeOutcome(outcomes: readonly (Outcome & { at?: string })[]): Brought {
  const changes = outcomes.flatMap((outcome) => computeChange(outcome) ?? []);
  const better = changes.filter((change) => change > 0).length;
  const worse = changes.filter((change) => change < 0).length;
  switch (findPromotion(outcomes)) {
    case false:
      return "nothing";
    case true:
      return worse > 0 && better === 0 ? "worse" : "improved";
    default:
      if (changes.length === 0 || (better > 0 && worse > 0)) return "unknown";
      return better > 0 ? "improved" : worse > 0 ? "worse" : "nothing";
  }
}

/** By how much a metric got better; negative if it got worse. Null without both figures. */
function computeChange({ before, after, isHigherBetter }: Outcome): number | null {
  if (before === null || after === null || isHigherBetter === null) return null;
  // Their difference could be too large for a number.
  const change = after > before ? 1 : after < before ? -1 : 0;
  return isHigherBetter ? change : -change;
}

function findPromotion(outcomes: readonly (Outcome & { at?: string })[]): boolean | null {
  const told = outcomes.filter(({ promoted }) => promoted !== null);
  const timeOf = ({ at }: { at?: string }): number => (at === undefined ? 0 : Date.parse(at));
  const newest = told.toSorted((a, b) => timeOf(a) - timeOf(b)).at(-1);
  return newest?.promoted ?? null;
}

/** "ndcg@10 0.431 → 0.429 (higher is better), not promoted" */
export function describeOutcome({ metric, before, after, isHigherBetter, promoted }: Outcome): string {
  const direction = isHigherBetter === null ? "" : ` (${isHigherBetter ? "higher" : "lower"} is better)`;
  const figures =
    before === null && after === null ? null : `${metric} ${before ?? "?"} → ${after ?? "?"}${direction}`;
  const word = promoted === null ? null : promoted ? "promoted" : "not promoted";
  return [figures, word].filter((part) => part !== null).join(", ");
}
