import { advance } from "../../../src/core/dispatch/advance.ts";
import type { Dispatch } from "../../../src/core/dispatch/dispatch.ts";
import type { DispatchContext, DispatchInput, TrainerTraits } from "../../../src/core/dispatch/transition.ts";

export const NOW = Date.parse("2026-11-24T12:00:00Z");
export const LIMITS = { searchMs: 300_000, pollMs: 20_000, lostAfterMs: 86_400_000 };
export const GITHUB: TrainerTraits = { followsById: true, reportsOutcomes: false, runsHere: false };
export const WEBHOOK: TrainerTraits = { followsById: false, reportsOutcomes: true, runsHere: false };
export const COMMAND: TrainerTraits = { followsById: false, reportsOutcomes: false, runsHere: true };
export const CONTEXT: DispatchContext = { now: NOW, limits: LIMITS, trainer: GITHUB };

export const PENDING: Dispatch = {
  state: "pending",
  reason: null,
  externalId: null,
  url: null,
  statusUrl: null,
  status: null,
  conclusion: null,
  attempt: null,
  durationSeconds: null,
  extraRuns: [],
  error: null,
  createdAt: NOW - 1_000,
  askedAt: null,
  heardAt: null,
  silentSince: null,
  startedAt: null,
  endedAt: null,
};
export const ASKED: Dispatch = { ...PENDING, askedAt: NOW - 500 };
export const RUN = { externalId: "7", url: "https://github.com/x/7", statusUrl: null };
export const SENT: Dispatch = { ...ASKED, ...RUN, state: "sent", heardAt: NOW - 400 };
export const RUNNING: Dispatch = {
  ...SENT,
  state: "running",
  status: "in_progress",
  attempt: 1,
  startedAt: NOW - 300,
};
export const UNKNOWN: Dispatch = { ...ASKED, state: "unknown", error: "lost" };
export const REJECTED: Dispatch = { ...ASKED, state: "rejected", error: "401" };
export const FAILED: Dispatch = {
  ...RUNNING,
  state: "failed",
  status: "completed",
  conclusion: "failure",
  endedAt: NOW - 200,
};
const LOST: Dispatch = { ...FAILED, reason: "lost", conclusion: "lost" };
export const SUCCEEDED: Dispatch = { ...FAILED, state: "succeeded", conclusion: "success" };
export const UNREQUESTED: Dispatch = {
  ...PENDING,
  state: "cancelled",
  reason: "evidence_too_old",
  error: "old",
};

export const EXAMPLES: Record<string, Dispatch> = {
  pending: PENDING,
  asked: ASKED,
  sent: SENT,
  "sent, not identified": { ...SENT, externalId: null, url: null },
  running: RUNNING,
  unknown: UNKNOWN,
  rejected: REJECTED,
  failed: FAILED,
  lost: LOST,
  succeeded: SUCCEEDED,
  "cancelled before its request": UNREQUESTED,
  "cancelled by the trainer": { ...FAILED, state: "cancelled", conclusion: "cancelled" },
};

export const seen = (
  status: string,
  conclusion: string | null,
  attempt = 1,
  runs: (typeof RUN)[] | null = [RUN],
) => ({ kind: "seen", status, conclusion, attempt, url: RUN.url, durationSeconds: 3, runs }) as const;

/** Every kind of input: facts from the trainer, manual commands and the passing of time. */
export const INPUTS: Record<string, DispatchInput> = {
  opened: { kind: "opened" },
  "request differs, settings changed": { kind: "request_differs", haveSettingsChanged: true },
  "request differs, row changed": { kind: "request_differs", haveSettingsChanged: false },
  accepted: { kind: "accepted", training: RUN },
  "accepted without id": { kind: "accepted", training: null },
  "accepted means done": { kind: "accepted", training: null, isDone: true },
  refused: { kind: "refused", askedAt: ASKED.askedAt, message: "no" },
  "not sent": { kind: "not_sent", askedAt: ASKED.askedAt, message: "refused" },
  "rate limited": { kind: "rate_limited", askedAt: ASKED.askedAt, message: "later", waitMs: 5_000 },
  "answer lost": { kind: "answer_lost", askedAt: ASKED.askedAt, message: "reset" },
  found: { kind: "searched", trainings: [RUN] },
  "not found": { kind: "searched", trainings: [] },
  unavailable: { kind: "unavailable", message: "down", waitMs: null },
  unchanged: { kind: "unchanged" },
  "seen in progress": seen("in_progress", null),
  "seen successful": seen("completed", "success"),
  "seen failed": seen("completed", "failure"),
  "seen in progress again": seen("in_progress", null, 2),
  "reported successful": {
    kind: "reported",
    status: "completed",
    conclusion: "success",
    attempt: null,
    url: null,
    durationSeconds: null,
  },
  gone: { kind: "gone", message: "404" },
  "nothing to ask": { kind: "nothing_to_ask" },
  "run started": { kind: "run_started" },
  "run ended": { kind: "run_ended", conclusion: "success", message: null, durationSeconds: 1 },
  retry: { kind: "retry" },
  resend: { kind: "resend" },
  confirm: { kind: "confirm", externalId: "9" },
};

export const step = (dispatch: Dispatch, input: DispatchInput, context: Partial<DispatchContext> = {}) => {
  const advanced = advance(dispatch, input, { ...CONTEXT, ...context });
  return { ...advanced, after: { ...dispatch, ...advanced.patch } };
};
