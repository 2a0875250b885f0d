import { z } from "zod";

/**
 * The state of a dispatch. `pending`: recorded, and either not requested yet or being searched for because the response was
 * lost; `sent`: accepted by the trainer; `unknown`: the response was lost and no training was found; `rejected`: refused;
 * `cancelled`: never requested, or the training was stopped. The other states are those of the training.
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

/** Why a dispatch is in its state, if the state alone does not say. Programs branch on it; people read `error`. */
export const DispatchReason = z.enum([
  /** Cancelled before the request: its evidence had become too old. */
  "evidence_too_old",
  /** Cancelled before the request: another training was requested after its evidence was gathered. */
  "training_requested",
  /** Cancelled before the request: the settings that the recorded request was rendered from have changed. */
  "settings_changed",
  /** Rejected by Retrigger: the recorded request differs from the one rendered from the settings. */
  "request_tampered",
  /** Failed because the training showed no sign of life for too long. */
  "lost",
]);

export type DispatchReason = z.infer<typeof DispatchReason>;

/** A dispatch as results and reports show it. */
export const DispatchOutcome = z.object({
  state: DispatchState,
  reason: DispatchReason.nullable().default(null),
  /** The training's id with its trainer. */
  externalId: z.string().nullable(),
  url: z.string().nullable(),
  /** Why it was rejected, is unknown or failed, and what to do about it. */
  error: z.string().nullable(),
  /** When the training was requested, ISO 8601; null if it never was, and for the mock trainer. */
  askedAt: z.string().nullable().default(null),
});

export type DispatchOutcome = z.infer<typeof DispatchOutcome>;

/** How a trainer identifies a training. */
export interface Training {
  externalId: string;
  url: string | null;
  /** Where its status can be read; null if the id is enough. */
  statusUrl: string | null;
}

/** A training's status as the trainer reports it; `completed` is the only final status. */
export interface TrainingStatus {
  status: string;
  conclusion: string | null;
  attempt: number | null;
  url: string | null;
  durationSeconds: number | null;
}

/** A dispatch as stored in its row. Times are Unix milliseconds on the database's clock. */
export interface Dispatch {
  state: DispatchState;
  reason: DispatchReason | null;
  externalId: string | null;
  url: string | null;
  statusUrl: string | null;
  status: string | null;
  conclusion: string | null;
  attempt: number | null;
  durationSeconds: number | null;
  /** Further runs that the trainer started for the same request. */
  extraRuns: readonly string[];
  /** For people: why it was rejected, is unknown or failed, and what to do about it. */
  error: string | null;
  createdAt: number;
  /** When the training was requested; null while no request can have reached the trainer. */
  askedAt: number | null;
  /** The last sign of life. */
  lastSeenAt: number | null;
  /** Since when its status could not be read; null if the last attempt succeeded. */
  unreachableSince: number | null;
  startedAt: number | null;
  endedAt: number | null;
}

export type DispatchPatch = Partial<Omit<Dispatch, "createdAt">>;

/** Whether a trainer only shows its request: such a dispatch is `sent` for ever, and nothing was. */
export const isMock = (trainer: string): boolean => trainer === "mock";

/** States in which a training may be under way. */
export const OPEN_STATES = ["pending", "sent", "unknown", "running"] as const;

/** Whether the state is terminal. A later report may still revise some of these states. */
export function isTerminal(state: DispatchState): boolean {
  return ["succeeded", "failed", "cancelled", "rejected"].includes(state);
}

/**
 * Maps a trainer's status and conclusion to a state. Both use GitHub's vocabulary, an open set of strings: only `completed`
 * is final, and only `success` is a success.
 */
export function stateOfTraining(status: string, conclusion: string | null): DispatchState {
  if (status !== "completed") return status === "in_progress" ? "running" : "sent";
  if (conclusion === "success") return "succeeded";
  return conclusion === "cancelled" ? "cancelled" : "failed";
}

/** The messages of the reasons to cancel a dispatch before its request. */
export const CANCELLATIONS = {
  evidence_too_old: "Not requested: the evidence had become too old",
  training_requested: "Not requested: another training was requested after this evidence was gathered",
  settings_changed: "Not requested: the trainer's settings have changed since the decision",
} as const;

export type Cancellation = keyof typeof CANCELLATIONS;

/** Whether a dispatch was cancelled before its request. */
export function isUnrequested({ state, reason }: Pick<Dispatch, "state" | "reason">): boolean {
  return state === "cancelled" && reason !== null && reason in CANCELLATIONS;
}

/** A dispatch as results and reports show it. */
export function toOutcome({ state, reason, externalId, url, error, askedAt }: Dispatch): DispatchOutcome {
  const isoTime = askedAt === null ? null : new Date(askedAt).toISOString();
  return { state, reason, externalId, url, error, askedAt: isoTime };
}
