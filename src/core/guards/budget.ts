import type { Guard, Measurement } from "../check.ts";
import { duration, toMs } from "../duration.ts";
import { type Fields, type FieldValues, whole } from "../fields.ts";
import { formatCount, formatInstant } from "../format.ts";

const fields = {
  atMost: { schema: whole(1, 1000), meaning: "How many trainings may be requested." },
  per: { schema: duration("1m"), meaning: "In how long a time, ending now." },
} as const satisfies Fields;

/** How many trainings the model may start in a time. */
export const budget = {
  id: "budget",
  key: "budget",
  reason: "budget_spent",
  label: "Budget left?",
  ending: "the budget has room again",
  fields,
  default: null,
  docs: {
    rule: "At most N trainings of the model are requested within any period of this length, including failed ones.",
    example: "budget: { atMost: 4, per: 30d }",
  },
  needs: ({ per }) => ({ requestedWithin: per }),
  evaluate: ({ evidence, now }, settings) => measureBudget(evidence.trainings.requestedAt, now, settings),
  report: ({ actual, required }) => [
    `trainings requested: ${formatCount(actual)}, at most ${formatCount(required)}`,
  ],
  brief: ({ settings: { atMost, per } }) =>
    `the budget of ${formatCount(atMost)} training(s) per ${per} is spent`,
  explain: ({ result: { actual, nextLookAt }, settings: { atMost, per } }) => [
    `Budget: ${formatCount(actual)} training(s) requested in the last ${per}, ${formatCount(atMost)} allowed, until ${nextLookAt === undefined ? "one is older" : formatInstant(nextLookAt)}`,
  ],
  advise: () => ["Nothing to do: the model is re-evaluated when a training leaves the period"],
} as const satisfies Guard<typeof fields>;

/** How many trainings all models together may start in a time. */
export const totalBudget = {
  id: "total_budget",
  key: "totalBudget",
  reason: "total_budget_spent",
  label: "Budget of all models left?",
  ending: "the budget of all models has room again",
  fields,
  default: null,
  docs: {
    rule: "At most N trainings of all models together are requested within any period of this length.",
    example: "totalBudget: { atMost: 20, per: 1d }",
  },
  needs: ({ per }) => ({ requestedByAllWithin: per }),
  evaluate: ({ evidence, now }, settings) => measureBudget(evidence.trainings.requestedByAll, now, settings),
  report: ({ actual, required }) => [
    `trainings requested by all models: ${formatCount(actual)}, at most ${formatCount(required)}`,
  ],
  brief: ({ settings: { atMost, per } }) =>
    `the budget of all models, ${formatCount(atMost)} training(s) per ${per}, is spent`,
  explain: ({ result: { actual, nextLookAt }, settings: { atMost, per } }) => [
    `Budget of all models: ${formatCount(actual)} training(s) requested in the last ${per}, ${formatCount(atMost)} allowed, until ${nextLookAt === undefined ? "one is older" : formatInstant(nextLookAt)}`,
  ],
  advise: () => ["Nothing to do: the model is re-evaluated when a training leaves the period"],
} as const satisfies Guard<typeof fields>;

/** @param requestedAt Newest first. */
function measureBudget(
  requestedAt: readonly string[],
  now: number,
  { atMost, per }: FieldValues<typeof fields>,
): Measurement {
  const times = requestedAt.map((at) => Date.parse(at)).filter((at) => at > now - toMs(per));
  const actual = times.length;
  if (actual < atMost) return { required: atMost, actual, passed: true };
  // There is room again once all but atMost - 1 of them are older.
  const last = times[atMost - 1] ?? now;
  return { required: atMost, actual, passed: false, nextLookAt: last + toMs(per) };
}
