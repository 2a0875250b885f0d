import { GUARDS } from "./guards/registry.ts";
import type { DispatchState } from "./dispatch/dispatch.ts";

/** What is known about a model from its records alone. Times are ISO 8601. */
export interface StandingInput {
  /** The latest decision; null if there is none. */
  latest: {
    id: number;
    decision: string;
    codes: string[];
    decidedAt: string;
    nextLookAt: string | null;
    /** Whether it should have been re-evaluated by now. */
    isDue: boolean;
    driftRunsMissing: boolean;
  } | null;
  /** The newest dispatch; null if there is none. */
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
}

/** How urgent a standing is, for its colour: `act` needs a person, `wait` ends by itself. */
export const TONES = ["bad", "act", "busy", "good", "wait", "calm"] as const;
export type Tone = (typeof TONES)[number];

/** Where models can stand, those that need a person first. */
export const STANDINGS = {
  unknown: { label: "Training unknown", tone: "bad" },
  refused: { label: "Request refused", tone: "bad" },
  stuck: { label: "Event without decision", tone: "bad" },
  approval: { label: "Awaiting approval", tone: "act" },
  failed: { label: "Training failed", tone: "bad" },
  silent: { label: "Drift runs missing", tone: "act" },
  ready: { label: "Would trigger now", tone: "busy" },
  training: { label: "Training", tone: "busy" },
  due: { label: "Due for re-evaluation", tone: "busy" },
  snoozed: { label: "Snoozed", tone: "wait" },
  held: { label: "Held", tone: "wait" },
  triggered: { label: "Triggered", tone: "good" },
  waiting: { label: "Not due", tone: "calm" },
  new: { label: "No decision yet", tone: "calm" },
} as const satisfies Record<string, { label: string; tone: Tone }>;

export type Standing = keyof typeof STANDINGS;

/** Whether a person has to do something. */
export function needsPerson(standing: Standing): boolean {
  return ["bad", "act"].includes(STANDINGS[standing].tone);
}

const GUARD_CODES: ReadonlySet<string> = new Set(GUARDS.map(({ reason }) => reason));

/** Where a model stands, by its records. `ready` takes its evidence, which only the caller can read. */
export function standingOf({
  latest,
  training,
  approval,
  snoozedUntil,
  waitingSince,
}: StandingInput): Standing {
  if (training?.state === "unknown") return "unknown";
  const isNewest = latest === null || training === null || training.decisionId >= latest.id;
  if (training?.state === "rejected" && isNewest) return "refused";
  if (waitingSince !== null) return "stuck";
  if (approval !== null) return "approval";
  if (latest === null) return "new";
  if (latest.driftRunsMissing) return "silent";
  const hasFailed =
    training?.state === "failed" || (training?.state === "cancelled" && !training.isUnrequested);
  if (hasFailed && (isNewest || latest.codes.includes("retry_backoff"))) return "failed";
  const isOpen = training !== null && ["pending", "sent", "running"].includes(training.state);
  if (isOpen && training.trainer !== "mock") return "training";
  if (latest.isDue) return "due";
  if (snoozedUntil !== null) return "snoozed";
  if (latest.decision.startsWith("trigger")) return "triggered";
  return latest.codes.every((code) => GUARD_CODES.has(code)) ? "held" : "waiting";
}
