import { z } from "zod";
import type { Guard } from "../check.ts";
import { describeSpan, duration, toMs } from "../duration.ts";
import type { Evidence } from "../evidence.ts";
import type { Fields, FieldValues } from "../fields.ts";
import { formatInstant, formatRatio } from "../format.ts";

const fields = {
  for: { schema: duration("1s"), meaning: "How long no further training starts." },
  since: {
    schema: z.enum(["training", "success"], { error: "expected training or success" }),
    default: "training",
    meaning:
      "`training`: since the last training was requested; `success`: since the last successful one ended.",
  },
} as const satisfies Fields;

type Settings = FieldValues<typeof fields>;

const DAY_MS = 86_400_000;

/** Not more often than so: nothing is discarded, the model is re-evaluated when the cooldown ends. */
export const cooldown = {
  id: "cooldown",
  key: "cooldown",
  reason: "cooldown",
  label: "Cooldown over?",
  fields,
  shorthand: "for",
  default: null,
  docs: {
    rule: "No training starts within the time after the last one; the model is re-evaluated when it ends.",
    example: "cooldown: 7d",
  },
  needs: () => ({ lastTraining: true }),
  evaluate({ evidence, now }, settings) {
    const last = findLast(evidence, settings);
    const required = toMs(settings.for) / DAY_MS;
    if (last === null) return { required, actual: required, passed: true };
    const end = last + toMs(settings.for);
    const actual = Math.max(0, Math.floor(((now - last) / DAY_MS) * 1000) / 1000);
    return now >= end
      ? { required, actual, passed: true }
      : { required, actual, passed: false, nextLookAt: end };
  },
  report: ({ actual, required }) => [
    `days since the last training: ${formatRatio(actual)} of ${formatRatio(required)} required`,
  ],
  brief: ({ evidence, now, settings }) =>
    `cooling down until ${formatInstant((findLast(evidence, settings) ?? now) + toMs(settings.for))}`,
  explain({ evidence, now, settings }) {
    const last = findLast(evidence, settings) ?? now;
    const end = last + toMs(settings.for);
    const what =
      settings.since === "success" ? "the last successful training ended" : "the last training was requested";
    return [
      `Cooldown: ${what} ${describeSpan(now - last)} ago; ${settings.for} required, until ${formatInstant(end)}`,
    ];
  },
  advise: () => ["Nothing to do: the model is re-evaluated when the cooldown ends"],
} as const satisfies Guard<typeof fields>;

function findLast({ trainings }: Evidence, { since }: Settings): number | null {
  const at = since === "success" ? (trainings.lastSucceeded?.at ?? null) : trainings.lastRequestedAt;
  return at === null ? null : Date.parse(at);
}
