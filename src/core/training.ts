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
  /** When the trainer was asked, ISO 8601; null where it was not, and for the mock. */
  askedAt: z.string().nullable().default(null),
});
export type DispatchOutcome = z.infer<typeof DispatchOutcome>;

/** Why a dispatch is `cancelled` without having been asked for. */
export const UNASKED = {
  stale: "Not asked for: the evidence was too old by then",
  answered: "Not asked for: another training was asked for since its evidence was gathered",
} as const;

/** Whether a dispatch was cancelled before the trainer was asked: then somebody must look again. */
export function isUnasked({ state, error }: Pick<DispatchOutcome, "state" | "error">): boolean {
  return state === "cancelled" && (error === UNASKED.stale || error === UNASKED.answered);
}

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
