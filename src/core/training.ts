import { z } from "zod";

/**
 * Where a dispatch stands. `pending`: recorded, and not asked for, or asked for with its answer lost and looked for;
 * `sent`: the trainer took it; `unknown`: nobody knows whether it did; `rejected`: it did not; `cancelled`: not asked for
 * in time, or the training was stopped. The rest is the training's own.
 */
export const DispatchState = z.enum([
  "pending",
  "sent",
  "unknown",
  "rejected",
  "running",
  "succeeded",
  "failed",
  "cancelled",
]);
export type DispatchState = z.infer<typeof DispatchState>;

/** A dispatch as it is told: how it came out, and how the training stands. */
export const DispatchOutcome = z.object({
  state: DispatchState,
  /** The training's id with its trainer. */
  externalId: z.string().nullable(),
  url: z.string().nullable(),
  /** Why it was refused, is unknown, or ended badly; with what to do about it. */
  error: z.string().nullable(),
});
export type DispatchOutcome = z.infer<typeof DispatchOutcome>;

/** The error of a dispatch that is `cancelled` because it was not asked for in time. */
export const NOT_ASKED_IN_TIME = "The trainer was not asked in time: the evidence was too old by then";

/**
 * The state that a trainer's words stand for. Both are GitHub's, which are plain texts and grow in number: only
 * `completed` is an end, and of the ends only `success` is one.
 */
export function stateOfTraining(status: string, conclusion: string | null): DispatchState {
  if (status !== "completed") return status === "in_progress" ? "running" : "sent";
  if (conclusion === "success") return "succeeded";
  return conclusion === "cancelled" ? "cancelled" : "failed";
}

/** Whether a training in this state has ended. */
export function isEnded(state: DispatchState): boolean {
  return ["succeeded", "failed", "cancelled", "rejected"].includes(state);
}

const LONGEST_BACKOFF_SECONDS = 7 * 86_400;

/** How long the alerts of a training are kept after its `failures`th failure: doubled with each, a week at the most. */
export function computeBackoffSeconds(baseSeconds: number, failures: number): number {
  return Math.min(LONGEST_BACKOFF_SECONDS, baseSeconds * 2 ** (failures - 1));
}
