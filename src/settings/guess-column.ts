import { findNearest } from "../core/nearest.ts";
import { BUFFER_COLUMNS, CHECKS_COLUMNS } from "./sources.ts";

const GUIDE_NAMES: Readonly<Record<string, string>> = { ...CHECKS_COLUMNS, ...BUFFER_COLUMNS };

/** What the columns are often called, likeliest first. */
const OTHER_NAMES: Readonly<Record<string, readonly string[]>> = {
  id: ["id", "check_id", "alert_id", "uuid", "run_id"],
  checkedAt: [
    "checked_at",
    "check_time",
    "detected_at",
    "measured_at",
    "run_at",
    "created_at",
    "timestamp",
    "time",
    "ts",
    "date",
  ],
  feature: ["feature", "metric", "column", "column_name", "variable", "test", "name"],
  score: ["score", "value", "statistic", "drift", "metric_value", "distance", "psi"],
  threshold: ["limit", "cutoff", "max", "critical_value", "bound"],
  triggered: [
    "triggered",
    "fired",
    "is_drift",
    "drift_detected",
    "has_drift",
    "drifted",
    "is_alert",
    "alert",
    "alarm",
  ],
  samples: ["sample_size", "sample_count", "n_samples", "n", "sample"],
  notes: ["note", "comment", "details", "message", "description"],
  batch: ["batch", "batch_name", "load_id", "file"],
  time: ["event_time", "occurred_at", "rated_at", "created_at", "time", "ts", "date"],
  ingestedAt: ["loaded_at", "inserted_at", "arrived_at", "imported_at", "ingest_time", "created_at"],
};

/**
 * The column that is most likely meant.
 *
 * @param key What the column is for, by its key in the YAML file.
 * @param wanted The name that was looked for, if it is not the guide's.
 */
export function guessColumn(key: string, names: readonly string[], wanted?: string): string | undefined {
  const guideName = GUIDE_NAMES[key];
  const own = wanted === undefined ? undefined : findNearest(wanted, names);
  if (own !== undefined) return own;
  const normalized = new Map(names.map((name) => [name.toLowerCase(), name]));
  for (const name of [guideName ?? "", ...(OTHER_NAMES[key] ?? [])]) {
    const found = normalized.get(name);
    if (found !== undefined) return found;
  }
  return guideName === undefined ? undefined : findNearest(guideName, names);
}
