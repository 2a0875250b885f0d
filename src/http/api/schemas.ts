import { z } from "zod";
import { IsoTime, ModelName, PlainText, toInstant } from "../../../queues/jobs.ts";
import { duration } from "../../core/duration.ts";
import type { DecisionFilter } from "../../postgres/decision-log.ts";

export const ModelPath = z.strictObject({ model: ModelName });

const ID_EXPECTED = "must be the number of a decision";
export const DecisionPath = z.strictObject({
  id: z
    .string()
    .regex(/^[1-9]\d{0,8}$/, ID_EXPECTED)
    .transform(Number),
});

export const TokenPath = z.strictObject({
  id: z.string().regex(/^(rt_)?[a-z0-9]{10}(_[\w-]{43})?$/, "must be a token, or its id"),
});

/** Why somebody intervenes: one line. */
export const Reason = z
  .string()
  .min(1, "must not be empty")
  .max(500, "must be at most 500 characters")
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, "must not contain control characters or lone surrogates");

export const ReasonBody = z.strictObject({ reason: Reason });

export const SnoozeBody = z.strictObject({ for: duration(), reason: Reason });

export const DecisionRow = z.object({
  id: z.int(),
  runId: z.string().nullable(),
  model: z.string(),
  cause: z.string().nullable(),
  decidedAt: z.string().nullable(),
  decision: z.string().nullable(),
  reason: z.string().nullable(),
  bufferSize: z.number().nullable(),
  driftScore: z.number().nullable(),
  notes: z.string().nullable(),
  dispatch: z.string().nullable(),
  url: z.string().nullable(),
  /** The reason in a few words; null from a version that did not record it. */
  why: z.string().nullable(),
});

export const OutcomeRow = z.object({
  metric: z.string(),
  before: z.number().nullable(),
  after: z.number().nullable(),
  isHigherBetter: z.boolean().nullable(),
  promoted: z.boolean().nullable(),
  /** `command`, `api`, `mlflow` or `view`. */
  source: z.string(),
  by: z.string(),
  at: z.string(),
});

/** A whole number in a query. */
export const count = (min: number, max: number, fallback: number) =>
  z
    .string()
    .regex(/^\d{1,10}$/, "must be a whole number")
    .transform(Number)
    .pipe(z.int().min(min, `must be at least ${min}`).max(max, `must be at most ${max}`))
    .default(fallback);

export const Cursor = z
  .string()
  .regex(/^[1-9]\d{0,8}$/, "must be the nextCursor of the page before")
  .transform(Number)
  .optional();

export const DecisionQuery = z.strictObject({
  model: ModelName.optional(),
  decision: z.enum(["trigger", "trigger_mock", "no_action"]).optional(),
  reason: PlainText.optional(),
  cause: z.enum(["event", "schedule", "manual", "followup"]).optional(),
  since: IsoTime.optional(),
  until: IsoTime.optional(),
  /** The number with which the page before ended. */
  cursor: Cursor,
  limit: count(1, 500, 50),
});

/** The filter of a query. */
export function toDecisionFilter({
  cursor,
  since,
  until,
  ...filter
}: z.infer<typeof DecisionQuery>): DecisionFilter {
  const iso = (time: string | undefined) => (time === undefined ? null : toInstant(time).toISOString());
  return { ...filter, since: iso(since), until: iso(until), before: cursor ?? null };
}
