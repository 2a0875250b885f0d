import { z } from "zod";
import { Counted } from "./counter.ts";

/**
 * A figure of a source table. NULL, NaN, infinities and texts carry no information, so they all become null. -0 becomes 0, which is
 * all that JSON keeps of it.
 */
const Figure = z
  .union([z.number(), z.string(), z.null()])
  .transform((value) => (typeof value === "number" ? value + 0 : null));

/** One row of `drift_alerts` inside the lookback window. */
export const DriftCheck = z.object({
  id: z.string(),
  /** ISO 8601. */
  checkedAt: z.string(),
  feature: z.string().nullable(),
  score: Figure,
  threshold: Figure,
  triggered: z.boolean(),
  notes: z.string().nullable(),
});
export type DriftCheck = z.infer<typeof DriftCheck>;

/**
 * One drift check that a policy may weigh: every triggered alert of the window, and the other checks if the policy needs their
 * scores.
 */
export const WeighedCheck = z.object({
  /** The check's identity as decisions record it: `id@instant`. */
  id: z.string(),
  /** ISO 8601. */
  at: z.string(),
  feature: z.string().nullable(),
  score: Figure,
  threshold: Figure,
  triggered: z.boolean(),
  /** How many samples the check is based on; null if unknown. */
  samples: Figure.default(null),
  /** Whether checks of the same feature between this one and the newer ones were too many to read. */
  hasGap: z.boolean().default(false),
  /** The decision whose training, not a failed one, was for this check; null if there is none. */
  answeredBy: z.number().int().nullable().default(null),
  /** The last failed training that was for this check, and how many have failed in a row; null if none has. */
  failed: z.object({ endedAt: z.string(), failures: z.number().int().positive() }).nullable().default(null),
});
export type WeighedCheck = z.infer<typeof WeighedCheck>;

/** The ratings of one batch; `batch` is null for rows without a batch id. Rating times are Unix seconds. */
const Batch = z.object({
  batch: z.string().nullable(),
  ratings: z.number().int().nonnegative(),
  earliestRating: Figure,
  latestRating: Figure,
});

/** An earlier decision, as the report's history shows it. */
export const PastDecision = z.object({
  id: z.number().int(),
  /** ISO 8601; null if the DAG's row has no date. */
  decidedAt: z.string().nullable(),
  decision: z.string().nullable(),
  bufferSize: z.number().nullable(),
  driftScore: Figure,
  /** When this decision was due for re-evaluation, ISO 8601; null for never. */
  nextLookAt: z.string().nullable().default(null),
  /** Whether drift runs were missing then; null if none were expected. */
  driftRuns: z.enum(["seen", "missing"]).nullable().optional(),
});
export type PastDecision = z.infer<typeof PastDecision>;

/** A decision that already started a training, not a failed one, for `alerts` of the alerts in the window. */
const EarlierAction = z.object({
  decisionId: z.number().int(),
  /** ISO 8601. */
  decidedAt: z.string(),
  alerts: z.number().int().positive(),
});

/** A training that failed or was stopped, and the number of alerts in the window that it leaves unanswered. */
export const FailedTraining = z.object({
  decisionId: z.number().int(),
  /** ISO 8601, the database's clock. */
  endedAt: z.string(),
  /** As the trainer reported it. */
  conclusion: z.string().nullable(),
  /** How many trainings of these alerts have failed so far. */
  failures: z.number().int().positive(),
  alerts: z.number().int().positive(),
});
export type FailedTraining = z.infer<typeof FailedTraining>;

/** What is known of the model's trainings with the configured trainer. Read as far as the policy needs it. */
const TrainingHistory = z.object({
  /** When the newest training was requested, ISO 8601; trainings that were refused or never sent do not count. */
  lastRequestedAt: z.string().nullable().default(null),
  /** The newest successful training: when it ended, and the buffer that its decision saw. */
  lastSucceeded: z
    .object({ decisionId: z.number().int(), at: z.string(), bufferSize: Figure })
    .nullable()
    .default(null),
  /** The newest training, if it failed or was stopped, and how many have failed in a row. */
  lastFailed: z
    .object({ decisionId: z.number().int(), endedAt: z.string(), failures: z.number().int().positive() })
    .nullable()
    .default(null),
  /** When this model was first decided about, ISO 8601. */
  firstDecisionAt: z.string().nullable().default(null),
  /** When trainings of this model were requested, newest first. */
  requestedAt: z.array(z.string()).default([]),
  /** The same for all models together. */
  requestedByAll: z.array(z.string()).default([]),
  /** What past trainings took, newest first: the rows in the buffer then, and seconds. */
  durations: z.array(z.object({ rows: z.number(), seconds: z.number() })).default([]),
  /** The rows that the next training would read: the buffer at the snapshot; null if not read. */
  nextRows: z.number().nullable().default(null),
});

/** What people have decided about the model. */
const Interventions = z.object({
  snooze: z.object({ until: z.string(), reason: z.string(), by: z.string() }).nullable().default(null),
  /** The newest request for an approval. */
  approval: z
    .object({
      /** The decision that requested it. */
      decisionId: z.number().int(),
      state: z.enum(["open", "approved", "rejected", "used", "void"]),
      requestedAt: z.string(),
      expiresAt: z.string(),
      /** When it was approved or rejected. */
      answeredAt: z.string().nullable(),
      by: z.string().nullable(),
      reason: z.string().nullable(),
    })
    .nullable()
    .default(null),
  /** A forced decision: guards do not count. */
  override: z.object({ id: z.number().int(), by: z.string(), reason: z.string() }).nullable().default(null),
});

/** A training of the model that may be under way: requested or running. */
export const TrainingInFlight = z.object({
  decisionId: z.number().int(),
  trainer: z.string(),
  state: z.string(),
  /** When it was requested, ISO 8601. */
  since: z.string(),
  /** Until when it blocks the model unless it shows another sign of life, ISO 8601. */
  until: z.string().nullable().default(null),
  url: z.string().nullable(),
});
export type TrainingInFlight = z.infer<typeof TrainingInFlight>;

/**
 * What gather read in one database snapshot. Totals are exact; the lists are bounded (`EVIDENCE_LIMITS`), newest first, so
 * that a stage's result stays small whatever the size of the tables.
 */
export const Evidence = z.object({
  /** The database's clock at the snapshot, ISO 8601. */
  takenAt: z.string(),
  checks: z.object({
    total: z.number().int().nonnegative(),
    triggered: z.number().int().nonnegative(),
    /** How many of the checks that the policy may weigh were too many to read. */
    unread: z.number().int().nonnegative().default(0),
    /** From when on every drift run has a check among those that were read, ISO 8601; null for all. */
    runsFrom: z.string().nullable().default(null),
    newest: z.array(DriftCheck),
    newestTriggered: z.array(DriftCheck),
  }),
  /** How far back `checks` and `alerts` reach, as a duration; null if it was gathered by a version that did not say so. */
  window: z.string().nullable().default(null),
  /** Whether `weighed` also lists the checks that triggered no alert. */
  hasQuietChecks: z.boolean().default(false),
  /** Newest first; null if it was gathered by a version that did not read it. */
  weighed: z.array(WeighedCheck).nullable().default(null),
  /**
   * The newest triggered alerts as `id@instant` (UTC, to the microsecond). `unanswered`: how many have started no training,
   * or only failed ones.
   */
  alerts: z.object({
    ids: z.array(z.string()),
    unanswered: z.number().int().nonnegative(),
    answeredBy: z.array(EarlierAction),
    failed: z.array(FailedTraining).default([]),
  }),
  /** Newest first. */
  inFlight: z.array(TrainingInFlight).default([]),
  buffer: z.object({
    size: z.number().int().nonnegative(),
    batchCount: z.number().int().nonnegative(),
    batches: z.array(Batch),
    /** What is counted. */
    unit: z.string().default("ratings"),
    /** Rows since the last successful training; null if unknown or not read. */
    grown: z.number().int().nonnegative().nullable().default(null),
    /** The rows that wait for a training, and for how long in total, in days; null if unknown or not read. */
    waiting: z
      .object({ rows: z.number().nonnegative(), rowDays: z.number().nonnegative() })
      .nullable()
      .default(null),
    /** Whether only what arrived since the last successful training is counted. */
    isSinceTraining: z.boolean().default(false),
    /** The smallest size that the first decisions after the last successful training saw; null if unknown or not read. */
    smallestSince: Figure.default(null),
    /** An earlier size, for the pace of growth; null if none is known. */
    earlier: z.object({ size: z.number().nonnegative(), at: z.string() }).nullable().default(null),
    /** How it was counted; null if it was gathered by a version that did not say so. */
    counted: Counted.nullable().default(null),
  }),
  /** Whether the guide's course is played, with its own tables and the mock trainer: some texts are meant for it only. */
  isGuide: z.boolean().default(true),
  trainings: TrainingHistory.default(TrainingHistory.parse({})),
  interventions: Interventions.default(Interventions.parse({})),
  /** Signs of drift monitoring; null if the settings do not expect drift runs at intervals. */
  monitoring: z
    .object({
      /** The newest drift check or event, ISO 8601; null for none. */
      lastSeenAt: z.string().nullable(),
      /** Since when the next one is awaited: the newest, else the first decision about the model. */
      since: z.string(),
      /** How often one is expected, as a duration. */
      every: z.string(),
    })
    .nullable()
    .default(null),
  /** Newest first. The first one's id is what compare-and-set compares. */
  lastDecisions: z.array(PastDecision),
});
export type Evidence = z.infer<typeof Evidence>;

/** The maximum number of rows of each kind in the evidence. */
export const EVIDENCE_LIMITS = {
  checks: 20,
  alertIds: 1000,
  weighed: 500,
  series: 1000,
  batches: 50,
  decisions: 5,
  failed: 20,
  inFlight: 20,
  texts: 200,
} as const;

/** The trainings that may still be under way at an instant (Unix milliseconds), because they have not reached their limit. */
export function findInFlight(
  { inFlight, takenAt }: Pick<Evidence, "inFlight" | "takenAt">,
  now = Date.parse(takenAt),
): TrainingInFlight[] {
  return inFlight.filter(({ until }) => until === null || Date.parse(until) > now);
}
