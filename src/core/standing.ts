import { type DispatchState, isMock } from "./dispatch/dispatch.ts";
import { approval } from "./guards/approval.ts";
import { GUARDS } from "./guards/registry.ts";
import { retryBackoff } from "./guards/retry-backoff.ts";
import { snooze } from "./guards/snooze.ts";

/** What is known about a model from its records. Times are ISO 8601. */
export interface StandingInput {
  /** The latest decision; null if there is none. */
  latest: {
    id: number;
    decision: string;
    codes: readonly string[];
    decidedAt: string;
    nextLookAt: string | null;
    /** Whether it should have been re-evaluated by now. */
    isDue: boolean;
    driftRunsMissing: boolean;
  } | null;
  /** The dispatch that is unknown, else the newest one; null if there is none. */
  training: {
    decisionId: number;
    trainer: string;
    state: DispatchState;
    /** Whether it was cancelled before the request. */
    isUnrequested: boolean;
    requestedAt: string;
    endedAt: string | null;
  } | null;
  /** The open request for an approval. */
  approval: { decisionId: number; expiresAt: string } | null;
  snoozedUntil: string | null;
  /** Since when an event has waited for a decision, if that is too long. */
  waitingSince: string | null;
  /** Whether a decision would trigger now; false if nobody has judged that. */
  isReady: boolean;
}

/** How urgent a standing is, for its colour: `bad` and `act` need a person, `wait` ends by itself. */
export const TONES = ["bad", "act", "busy", "good", "wait", "calm"] as const;
export type Tone = (typeof TONES)[number];

interface StandingDefinition {
  label: string;
  tone: Tone;
  /** For docs/pages.md. */
  meaning: string;
  holds(input: StandingInput): boolean;
}

const GUARD_CODES: ReadonlySet<string> = new Set(GUARDS.map(({ reason }) => reason));

/** Whether the newest dispatch belongs to the latest decision, and not to an earlier one. */
function isNewest({ latest, training }: StandingInput): boolean {
  return training !== null && (latest === null || training.decisionId >= latest.id);
}

function hasFailed({ training }: StandingInput): boolean {
  if (training === null) return false;
  return training.state === "failed" || (training.state === "cancelled" && !training.isUnrequested);
}

/** Where a model can stand. The first that holds is its standing; those that need a person come first. */
export const STANDINGS = {
  unknown: {
    label: "Training unknown",
    tone: "bad",
    meaning:
      "the trainer did not respond, and a search found nothing: confirm the training, or resend the request",
    holds: ({ training }) => training?.state === "unknown",
  },
  refused: {
    label: "Request refused",
    tone: "bad",
    meaning: "the trainer refused the request: fix the cause, then retry",
    holds: (input) => input.training?.state === "rejected" && isNewest(input),
  },
  stuck: {
    label: "Event without decision",
    tone: "bad",
    meaning: "an event has waited for two minutes: a stage has failed, or no worker runs",
    holds: ({ waitingSince }) => waitingSince !== null,
  },
  approval: {
    label: "Awaiting approval",
    tone: "act",
    meaning: "the policy calls for a training that a person must approve",
    holds: ({ latest, approval: request }) =>
      request !== null && latest?.codes.includes(approval.reason) === true,
  },
  failed: {
    label: "Training failed",
    tone: "bad",
    meaning: "the last training failed, and holds the next one back",
    holds: (input) =>
      hasFailed(input) &&
      !input.isReady &&
      (isNewest(input) || input.latest?.codes.includes(retryBackoff.reason) === true),
  },
  silent: {
    label: "Drift runs missing",
    tone: "act",
    meaning: "no drift run has come for longer than `expectDriftRunEvery`",
    holds: ({ latest, isReady }) => latest?.driftRunsMissing === true && !isReady,
  },
  ready: {
    label: "Would trigger now",
    tone: "busy",
    meaning: "by the sources as they are, the next decision triggers",
    holds: ({ isReady }) => isReady,
  },
  training: {
    label: "Training",
    tone: "busy",
    meaning: "a training was requested, or runs",
    holds: ({ training }) =>
      training !== null &&
      !isMock(training.trainer) &&
      ["pending", "sent", "running"].includes(training.state),
  },
  due: {
    label: "Due for re-evaluation",
    tone: "busy",
    meaning: "the time of the next look has passed; a worker takes it up",
    holds: ({ latest }) => latest?.isDue === true,
  },
  snoozed: {
    label: "Snoozed",
    tone: "wait",
    meaning: "a person holds it back for a while",
    holds: ({ snoozedUntil, latest }) =>
      snoozedUntil !== null && latest?.codes.includes(snooze.reason) === true,
  },
  triggered: {
    label: "Triggered",
    tone: "good",
    meaning: "the latest decision triggered",
    holds: ({ latest }) => latest?.decision.startsWith("trigger") === true,
  },
  held: {
    label: "Held",
    tone: "wait",
    meaning: "the condition of the policy holds, but a guard such as a cooldown objects",
    holds: ({ latest }) => latest !== null && latest.codes.every((code) => GUARD_CODES.has(code)),
  },
  waiting: {
    label: "Not due",
    tone: "calm",
    meaning: "the condition of the policy does not hold",
    holds: ({ latest }) => latest !== null,
  },
  new: {
    label: "No decision yet",
    tone: "calm",
    meaning: "no event, schedule or person has requested one",
    holds: () => true,
  },
} as const satisfies Record<string, StandingDefinition>;

export type Standing = keyof typeof STANDINGS;

const ALL = Object.entries(STANDINGS) as [Standing, StandingDefinition][];

/** Where a model stands. */
export function standingOf(input: StandingInput): Standing {
  return ALL.find(([, { holds }]) => holds(input))?.[0] ?? "new";
}

/** Whether a person has to do something. */
export function needsPerson(standing: Standing): boolean {
  return ["bad", "act"].includes(STANDINGS[standing].tone);
}
