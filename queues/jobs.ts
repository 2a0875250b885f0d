import { z } from "zod";
import { DispatchOutcome } from "../src/core/dispatch/dispatch.ts";
import { DispatchRequest } from "../src/core/dispatch/request.ts";
import { Verdict } from "../src/core/evaluate.ts";
import { Evidence } from "../src/core/evidence.ts";
import { Policy } from "../src/core/policy.ts";
import { ShadowVerdict } from "../src/core/shadow.ts";
import { Superseded } from "../src/core/superseded.ts";

/** A model's name: it becomes part of Redis keys, job ids and rows. */
export const ModelName = z
  .string()
  .regex(
    /^[A-Za-z0-9][A-Za-z0-9_.-]{0,99}$/,
    "must be 1 to 100 letters, digits, dots, dashes or underscores, the first a letter or digit",
  );

/** Why a decision is requested. */
export const Cause = z.enum(["event", "schedule", "manual", "followup"]);
export type Cause = z.infer<typeof Cause>;

// Postgres cannot store NUL or lone surrogates, and other control characters are unreadable.
export const PlainText = z
  .string()
  .min(1, "must not be empty")
  .max(200, "must be at most 200 characters")
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, "must not contain control characters or lone surrogates");

const TIME_EXPECTED = "must be an ISO 8601 time such as 2026-11-23T06:00:00Z";

/** Parses an ISO 8601 time; one without a zone is in UTC. Returns an invalid date if it cannot be parsed. */
export function toInstant(text: string): Date {
  return new Date(/(Z|[+-]\d{2}:?\d{2})$/.test(text) ? text : `${text}Z`);
}

/** Years that every part of the program writes alike. */
const isInRange = (year: number): boolean => year > 0 && year < 10_000;

/** An ISO 8601 time; one without a zone is in UTC. */
export const IsoTime = z.iso
  .datetime({ offset: true, local: true, error: TIME_EXPECTED, abort: true })
  .refine((text) => isInRange(toInstant(text).getUTCFullYear()), { error: TIME_EXPECTED });

const EVENT_LIMITS = { bytes: 64 * 1024, depth: 32 } as const;

/** Events are stored as sent, so they may be neither huge nor nested deeper than Postgres parses. */
function isStorable(event: object): boolean {
  return isNestedWithin(event, EVENT_LIMITS.depth) && JSON.stringify(event).length <= EVENT_LIMITS.bytes;
}

function isNestedWithin(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return depth > 0 && Object.values(value).every((part) => isNestedWithin(part, depth - 1));
}

/** The event that a drift run has ended, as any BullMQ producer may send it. Unknown fields are kept. */
export const DriftMonitoringCompleted = z
  .looseObject({
    /** The drift run's own id. Two events with the same model and id are one event. */
    runId: PlainText,
    model: ModelName.optional(),
    completedAt: IsoTime.optional(),
    status: z.enum(["success", "failed"]).optional(),
    source: PlainText.optional(),
  })
  .refine(isStorable, "must be at most 64 KiB of JSON, nested at most 32 levels deep");
export type DriftMonitoringCompleted = z.infer<typeof DriftMonitoringCompleted>;

/** A request to evaluate one model, sent by the schedule, by `retrigger decide` and at a decision's `nextLookAt`. */
export const DecisionRequest = z.object({ model: ModelName.optional() });
export type DecisionRequest = z.infer<typeof DecisionRequest>;

/** A request to re-evaluate once the run under way has ended; `runId` is the follow-up's own. */
export const FollowUpRequest = z.strictObject({
  model: ModelName,
  runId: z.uuid(),
  /** Requests arrived during a run, a run was superseded, or a run that Postgres knows is missing from Redis. */
  because: z.enum(["requests", "superseded", "missing"]).default("requests"),
});
export type FollowUpRequest = z.infer<typeof FollowUpRequest>;

/** The result of an inbox job. `runId` is the run that covers it: its snapshot is younger than the job. */
export const IntakeResult = z.discriminatedUnion("outcome", [
  z.object({ outcome: z.literal("started"), runId: z.uuid() }),
  z.object({ outcome: z.literal("folded"), runId: z.uuid() }),
  z.object({ outcome: z.literal("duplicate"), runId: z.uuid().nullable() }),
  z.object({ outcome: z.literal("drift_run_failed") }),
  z.object({ outcome: z.literal("model_removed") }),
]);
export type IntakeResult = z.infer<typeof IntakeResult>;

/** The payload that all four stages of one run share. */
export const StageJob = z.strictObject({ runId: z.uuid(), model: ModelName, cause: Cause });
export type StageJob = z.infer<typeof StageJob>;

/** The shadow policy in force, and the parts of the evidence that it sees otherwise than the policy. */
const GatheredShadow = z.object({ policy: Policy, seen: z.record(z.string(), z.unknown()) });

/** What gather found, and the policy in force at that time. */
export const Gathered = z.object({
  evidence: Evidence,
  policy: Policy,
  // A shadow never stops a decision, even one that another version wrote.
  shadow: GatheredShadow.nullable().default(null).catch(null),
});
export type Gathered = z.infer<typeof Gathered>;

export const Evaluated = Gathered.extend({
  verdict: Verdict,
  /** What the shadow policy says; null without one. */
  shadow: ShadowVerdict.nullable().default(null).catch(null),
});
export type Evaluated = z.infer<typeof Evaluated>;

/** Whether the decision was recorded (by this attempt or an earlier one of the run) or superseded. */
export const Recording = z.discriminatedUnion("outcome", [
  z.object({
    outcome: z.literal("recorded"),
    decisionId: z.number().int(),
    decidedAt: z.string(),
    decision: z.string(),
    trainer: z.string(),
    request: DispatchRequest.nullable(),
    dispatch: DispatchOutcome.nullable(),
  }),
  z.object({ outcome: z.literal("superseded"), because: Superseded, followUpRunId: z.uuid() }),
]);
export type Recording = z.infer<typeof Recording>;

export const Acted = Evaluated.extend({ recording: Recording });
export type Acted = z.infer<typeof Acted>;

/** A training to follow; `runId` is the run that dispatched it. */
export const TrainingJob = z.object({
  runId: z.uuid(),
  model: ModelName,
  /** When the request was made that was notified of as unknown before the job was added, Unix milliseconds. */
  unknownRequest: z.number().optional(),
  /** What one poll keeps for the next one. Losing it costs one extra request. */
  note: z
    .object({
      etag: z.string().nullable(),
      /** Whether the trainer's list was searched for further runs of the same request. */
      isCounted: z.boolean(),
      /** Why the last poll returned no status; logged once. */
      problem: z.string().nullable(),
      /** The end of the training whose effects were carried out. */
      end: z.string().nullable(),
      /** When the request was made of which it is unknown whether it arrived, Unix milliseconds; null if none is. */
      unknownRequest: z.number().nullable().default(null),
      /** Whether an earlier end was a failure. */
      hasFailed: z.boolean().default(false),
    })
    .optional()
    // Written by another version.
    .catch(undefined),
});
export type TrainingJob = z.infer<typeof TrainingJob>;
export type TrainingNote = NonNullable<TrainingJob["note"]>;

/** The status of a training: the progress of its job, and its result. */
export const TrainingReport = z.object({
  ...DispatchOutcome.shape,
  /** In the trainer's own terms. */
  status: z.string().nullable(),
  conclusion: z.string().nullable(),
  attempt: z.number().int().nullable(),
  durationSeconds: z.number().nullable(),
  /** Further runs that the trainer started for the one request. */
  extraRuns: z.array(z.string()),
  /** ISO 8601: when the alerts of a failed training may start another one; null if none are held back. */
  alertsBackAt: z.string().nullable(),
});
export type TrainingReport = z.infer<typeof TrainingReport>;

const NotificationKind = z.enum([
  "training_triggered",
  "training_ended",
  "training_doubled",
  "dispatch_unknown",
  "dispatch_settled",
  "chain_failed",
  "chain_recovered",
  "approval_requested",
  "drift_runs_missing",
  "drift_runs_back",
]);

/** A message for people. */
export const Notification = z.object({
  kind: NotificationKind,
  model: z.string(),
  runId: z.string(),
  decisionId: z.number().int().nullable(),
  /** The job that it is about, if that is not a run's own. */
  job: z.object({ queue: z.string(), id: z.string() }).optional(),
  /** The notification of the problem that this one resolves. */
  resolves: z
    .object({ kind: NotificationKind, runId: z.string(), decisionId: z.number().int().nullable() })
    .optional(),
  /** The whole message, as Slack shows it. */
  text: z.string(),
});
export type Notification = z.infer<typeof Notification>;

/** Where notifications go. The URLs are secrets and stay in the settings. */
export const NotificationTarget = z.enum(["slack", "webhook"]);
export type NotificationTarget = z.infer<typeof NotificationTarget>;

export const NotificationJob = z.object({
  target: NotificationTarget,
  /** ISO 8601. */
  time: z.string(),
  notification: Notification,
});
export type NotificationJob = z.infer<typeof NotificationJob>;
