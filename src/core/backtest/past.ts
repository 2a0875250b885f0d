import type { Evidence } from "../evidence.ts";

/**
 * What is known of a model's past, for replaying policies over it. Times are Unix milliseconds; every list is in the order of its
 * first time, the oldest first.
 */
export interface Past {
  /** The period that is replayed. What lies before it fills its first windows. */
  from: number;
  to: number;
  checks: readonly PastCheck[];
  /** The rows of the buffer that are left. */
  arrivals: readonly Arrival[];
  /** To what their times are rounded up, in milliseconds. */
  arrivalStepMs: number;
  /** What the buffer counts, and whether only what arrived since the last training. */
  buffer: Pick<Evidence["buffer"], "unit" | "isSinceTraining">;
  /** Recorded decisions, also some from before the period. */
  decisions: readonly PastDecision[];
  /** The model's trainings with its present trainer, also from before the period. */
  trainings: readonly PastTraining[];
  /** When trainings of other models were requested that count for all models together. */
  requestsOfOthers: readonly number[];
  /** When events of drift runs were received. */
  events: readonly number[];
  snoozes: readonly PastSnooze[];
  approvals: readonly PastApproval[];
  firstDecisionAt: number | null;
}

export interface PastCheck {
  /** The names under which decisions may have recorded it, the present one first. */
  names: readonly string[];
  /** When it was made, and when it could be seen. */
  at: number;
  seenAt: number;
  feature: string | null;
  score: number | null;
  threshold: number | null;
  triggered: boolean;
  samples: number | null;
}

/** Rows that arrived together. */
export interface Arrival {
  /** Null if it is unknown: then they count from the beginning. */
  at: number | null;
  rows: number;
}

export interface PastDecision {
  id: number;
  /** When its snapshot was taken. */
  at: number;
  decision: "trigger" | "no_action";
  /** Why not, or why. */
  codes: readonly string[];
  policyHash: string;
  bufferSize: number;
  forced: { by: string; reason: string } | null;
  /** The checks that its training was for; empty if it started none. */
  alertIds: readonly string[];
}

export interface PastTraining {
  decisionId: number;
  /** When its decision's snapshot was taken. */
  decidedAt: number;
  bufferSize: number;
  requestedAt: number;
  result: TrainingResult;
  /** Null while it is open, and if it is unknown. */
  endedAt: number | null;
  /** How long it took, in seconds; null if unknown. */
  seconds: number | null;
}

/** `refused`: never requested, so it neither answers an alert nor counts. */
export type TrainingResult = "succeeded" | "failed" | "open" | "refused";

export interface PastSnooze {
  from: number;
  /** When it ended, early or not. */
  to: number;
  /** When it was to end. */
  until: number;
  by: string;
  reason: string;
}

export interface PastApproval {
  /** The decision that requested it. */
  decisionId: number;
  requestedAt: number;
  expiresAt: number;
  answer: { state: "approved" | "rejected"; at: number; by: string; reason: string } | null;
  /** When a decision used it, or no longer needed it; null if none has. */
  settled: { state: "used" | "void"; at: number } | null;
}
