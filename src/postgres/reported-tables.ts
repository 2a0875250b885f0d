/** The tables of ours that hold what detectors and pipelines reported, as sources. */
export const REPORTED_CHECKS = {
  table: "retraining_reported_checks",
  columns: {
    id: "id",
    checkedAt: "checked_at",
    feature: "feature",
    score: "score",
    threshold: "threshold",
    triggered: "triggered",
    samples: "samples",
    notes: null,
  },
} as const;

export const REPORTED_BUFFER = {
  table: "retraining_reported_growth",
  columns: { batch: "batch", time: "arrived_at", ingestedAt: "arrived_at" },
} as const;
