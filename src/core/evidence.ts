import { z } from "zod";

/** A figure of a source table. NULL, NaN, infinities and texts carry no information, so they all become null. */
const Figure = z
  .union([z.number(), z.string(), z.null()])
  .transform((value) => (typeof value === "number" ? value : null));

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
    newest: z.array(DriftCheck),
    newestTriggered: z.array(DriftCheck),
  }),
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
  }),
  /** Newest first. The first one's id is what compare-and-set compares. */
  lastDecisions: z.array(PastDecision),
});
export type Evidence = z.infer<typeof Evidence>;

/** The maximum number of rows of each kind in the evidence. */
export const EVIDENCE_LIMITS = {
  checks: 20,
  alertIds: 1000,
  batches: 50,
  decisions: 5,
  failed: 20,
  inFlight: 20,
  texts: 200,
} as const;

/** The trainings that may still be under way, because they have not reached their limit. */
export function findInFlight({ inFlight, takenAt }: Evidence): TrainingInFlight[] {
  return inFlight.filter(({ until }) => until === null || Date.parse(until) > Date.parse(takenAt));
}
