import { z } from "zod";
import { DriftRuns } from "../drift-runs.ts";

/** One change that is part of a flip. */
export const Change = z.object({
  /** The check that it acts on, by its id. */
  check: z.string(),
  /** What changes: `more_rows`, `more_alerts`, `time`, `training_ends` ... */
  kind: z.string(),
  /** Where the criterion stands, if the change serves only this one: `when.all[1]`. */
  place: z.string().optional(),
  /** By how much, for a change that has a size. */
  size: z.number().optional(),
  /** ISO 8601, for `time`: the first second at which the verdict differs. */
  at: z.string().optional(),
  text: z.string(),
});
export type Change = z.infer<typeof Change>;

/** The changes that together would turn the verdict; none of them is dispensable. */
export const Flip = z.object({
  changes: z.array(Change),
  text: z.string(),
  /** When that may come about, judging by the past; null if the past tells nothing. */
  eta: z
    .object({
      /** ISO 8601. */
      at: z.string(),
      text: z.string(),
    })
    .nullable(),
});
export type Flip = z.infer<typeof Flip>;

/** Checks that did not count, and why. */
export const Uncounted = z.object({
  kind: z.enum(["already_answered", "held_back", "too_few_samples", "not_read"]),
  count: z.number().int().positive(),
  decisionId: z.number().int().optional(),
  text: z.string(),
});
export type Uncounted = z.infer<typeof Uncounted>;

/** What is likely wrong with the sources, although a decision can be made. */
export const Warning = z.object({
  code: z.enum(["buffer_did_not_shrink"]),
  text: z.string(),
});
export type Warning = z.infer<typeof Warning>;

/** Why the verdict is what it is, and what would turn it: computed from the evidence alone. */
export const Explanation = z.object({
  /** Why in a few words: "no drift; 12,400 ratings short". Empty from a version that did not say so. */
  why: z.string().default(""),
  /** What would turn the verdict, nearest first. */
  nearestFlips: z.array(Flip),
  notCounted: z.array(Uncounted),
  /** Whether drift monitoring still runs; null if the settings expect no drift runs at intervals. */
  driftRuns: DriftRuns.nullable().default(null),
  warnings: z.array(Warning).default([]),
});
export type Explanation = z.infer<typeof Explanation>;
