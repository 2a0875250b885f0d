import type { DispatchPatch, Training, TrainingStatus } from "./dispatch.ts";

/** What happened to a dispatch. */
export type DispatchInput =
  /** A worker starts or resumes work on it. */
  | { kind: "opened" }
  /** The recorded request differs from the one rendered from the settings. */
  | { kind: "request_differs"; haveSettingsChanged: boolean }
  /** The trainer accepted; `training` is null if it returned no id. `isDone`: its outcome will never be known. */
  | { kind: "accepted"; training: Training | null; isDone?: boolean }
  | ({ kind: "refused" } & FailedRequest)
  /** The request certainly never arrived. */
  | ({ kind: "not_sent" } & FailedRequest)
  | ({ kind: "rate_limited"; waitMs: number | null } & FailedRequest)
  /** The request may have arrived. */
  | ({ kind: "response_lost" } & FailedRequest)
  /** The trainings that the trainer lists under this key; the first one counts. */
  | { kind: "searched"; trainings: readonly Training[] }
  /** The trainer cannot be reached, which says nothing about the training. */
  | { kind: "unavailable"; message: string; waitMs: number | null }
  | { kind: "unchanged" }
  /** `runs`: the runs under this key, if the trainer lists them; an end is not accepted without them. */
  | ({ kind: "seen"; runs: readonly Training[] | null } & TrainingStatus)
  /** A signed callback. */
  | ({ kind: "reported" } & TrainingStatus)
  | { kind: "gone"; message: string }
  | { kind: "not_pollable" }
  | { kind: "run_started" }
  | { kind: "run_ended"; conclusion: string; message: string | null; durationSeconds: number | null }
  /** Manual: `dispatch retry` of a rejected dispatch. */
  | { kind: "retry" }
  /** Manual: `dispatch resend`, after a person checked that an unknown dispatch started nothing. */
  | { kind: "resend" }
  /** Manual: `dispatch confirm` names the training that an unknown dispatch started. */
  | { kind: "confirm"; externalId: string; statusUrl?: string | null; isDone?: boolean };

/** The outcome of the request made at `askedAt`; it says nothing about a later request. */
export interface FailedRequest {
  askedAt: number | null;
  message: string;
}

export interface DispatchContext {
  now: number;
  limits: DispatchLimits;
  trainer: TrainerTraits;
  /** Until when the alerts of a training that failed at `endedAt` are held back; null if they are not. */
  findAlertsBackAt?: (endedAt: number) => number | null;
}

/** What a trainer can and cannot do. */
export interface TrainerTraits {
  /** A training is followed by its id (GitHub); otherwise by a status URL, if any. */
  followsById: boolean;
  /** The trainer reports outcomes in callbacks (webhook), so the row can change between two polls. */
  reportsOutcomes: boolean;
  /** The training runs inside a worker (a local program). */
  runsHere: boolean;
}

/** How often a training is polled, and when it is given up. */
export interface DispatchLimits {
  /** How long to search for the training of a request whose response was lost, before a person has to decide. */
  searchMs: number;
  /** Pause between two polls of a training. */
  pollMs: number;
  /** A training without a sign of life for this long counts as lost. */
  lostAfterMs: number;
}

export interface Advance {
  /** Columns to write; empty if nothing changed. */
  patch: DispatchPatch;
  effects: DispatchEffect[];
  next: DispatchStep;
  /** Why the status could not be read, for the job's log. */
  note?: string;
}

/** The side effects of a state. Each is idempotent. */
export type DispatchEffect =
  | "announce_request"
  | "announce_unknown"
  | "announce_extra_runs"
  | "announce_end"
  /** Make sure that a job follows the training to its end and reports it. */
  | "follow"
  /** The model may be free again: re-evaluate it if its latest decision waited for this training. */
  | "reevaluate_if_blocked"
  /** The decision had no effect: re-evaluate the model. */
  | "reevaluate";

/** The next step with the trainer, and the delay before it. */
export type DispatchStep =
  | { kind: "request" | "search" | "run"; waitMs: number }
  /** `isFresh`: poll without the last ETag, because the status behind it was not recorded. */
  | { kind: "poll"; waitMs: number; isFresh?: boolean }
  | { kind: "done" };

export interface Change {
  patch?: DispatchPatch;
  next?: DispatchStep;
  note?: string;
  /** No further progress is expected, although the state is not terminal. */
  isGivenUp?: boolean;
}
