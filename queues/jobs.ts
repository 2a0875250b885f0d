import { z } from "zod";
import { DispatchOutcome } from "../src/core/dispatch/dispatch.ts";
import { DispatchRequest } from "../src/core/dispatch/request.ts";
import { Verdict } from "../src/core/evaluate.ts";
import { Evidence } from "../src/core/evidence.ts";
import { Policy } from "../src/core/policy.ts";
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

// Control characters (NUL above all) and halves of characters cannot be stored in Postgres, nor read by a person.
const PlainText = z
  .string()
  .min(1)
  .max(200)
  .regex(/^[^\p{Cc}\p{Cs}]*$/u, "must not hold control characters or lone surrogates");

const TIME_EXPECTED = "must be an ISO 8601 time such as 2026-11-23T06:00:00Z";

/** The moment that an ISO 8601 text means; one without zone is in UTC. An invalid date where it means none. */
export function toInstant(text: string): Date {
  return new Date(/(Z|[+-]\d{2}:?\d{2})$/.test(text) ? text : `${text}Z`);
}

const EVENT_LIMITS = { bytes: 64 * 1024, depth: 32 } as const;

/** Events are stored as they came, so they may be neither huge nor deeper than a database parses. */
function isStorable(event: object): boolean {
  return isNestedWithin(event, EVENT_LIMITS.depth) && JSON.stringify(event).length <= EVENT_LIMITS.bytes;
}

function isNestedWithin(value: unknown, depth: number): boolean {
  if (typeof value !== "object" || value === null) return true;
  return depth > 0 && Object.values(value).every((part) => isNestedWithin(part, depth - 1));
}

/** The event that a drift run ended, as any BullMQ producer sends it. Unknown fields are kept. */
export const DriftMonitoringCompleted = z
  .looseObject({
    /** The drift run's own id; the same one twice for one model is one event. */
    runId: PlainText,
    model: ModelName.optional(),
    completedAt: z.iso
      .datetime({ offset: true, local: true, error: TIME_EXPECTED })
      .refine((text) => toInstant(text).getUTCFullYear() > 0, { error: TIME_EXPECTED })
      .optional(),
    status: z.enum(["success", "failed"]).optional(),
    source: PlainText.optional(),
  })
  .refine(isStorable, "must be at most 64 KiB of JSON, nested at most 32 deep");
export type DriftMonitoringCompleted = z.infer<typeof DriftMonitoringCompleted>;

/** A request to evaluate one model: what the schedule, `retrigger decide` and a decision's next look put on the inbox. */
export const DecisionRequest = z.object({ model: ModelName.optional() });
export type DecisionRequest = z.infer<typeof DecisionRequest>;

/** A request to re-evaluate once the run under way has ended; `runId` is the follow-up's own. */
export const FollowUpRequest = z.strictObject({
  model: ModelName,
  runId: z.uuid(),
  /** Requests came during a run; a run was superseded; a run that Postgres knows of is missing in Redis. */
  because: z.enum(["requests", "superseded", "missing"]).default("requests"),
});
export type FollowUpRequest = z.infer<typeof FollowUpRequest>;

/** The result of an inbox job. `runId` is the run whose snapshot is younger than the job. */
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

/** What gather found, with the policy that was in force then. */
export const Gathered = z.object({ evidence: Evidence, policy: Policy });
export type Gathered = z.infer<typeof Gathered>;

export const Evaluated = Gathered.extend({ verdict: Verdict });
export type Evaluated = z.infer<typeof Evaluated>;

/** What became of the decision: recorded by this run (now or by an earlier try), or superseded. */
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

/** A training to follow; `runId` is that of the run that dispatched it. */
export const TrainingJob = z.object({
  runId: z.uuid(),
  model: ModelName,
  /** What one poll leaves for the next one. Losing it costs one extra request. */
  note: z
    .object({
      etag: z.string().nullable(),
      /** Whether the trainer's list was searched for further runs of the same request. */
      isCounted: z.boolean(),
      /** Why the last poll got no status; logged once. */
      problem: z.string().nullable(),
      /** The end whose effects were carried out. */
      end: z.string().nullable(),
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
  /** In the trainer's own words. */
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

/** A message to people. */
export const Notification = z.object({
  kind: z.enum([
    "training_triggered",
    "training_ended",
    "training_doubled",
    "dispatch_unknown",
    "chain_failed",
  ]),
  model: z.string(),
  runId: z.string(),
  decisionId: z.number().int().nullable(),
  /** The whole message, as Slack shows it. */
  text: z.string(),
});
export type Notification = z.infer<typeof Notification>;

/** Where notifications go; the addresses are secrets and stay in the settings. */
export const NotificationTarget = z.enum(["slack", "webhook"]);
export type NotificationTarget = z.infer<typeof NotificationTarget>;

export const NotificationJob = z.object({
  target: NotificationTarget,
  /** ISO 8601. */
  time: z.string(),
  notification: Notification,
});
export type NotificationJob = z.infer<typeof NotificationJob>;
