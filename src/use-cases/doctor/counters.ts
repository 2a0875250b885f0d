import { COUNTER_PROBLEMS, REMOVE_UNUSED } from "../../core/counter.ts";
import { type Finding, ok, warning } from "../../core/finding.ts";
import { formatCount } from "../../core/format.ts";
import type { InstalledCounter } from "../../postgres/counters/inspect.ts";

/** The service folds a counter, unless it may not change it. */
const MOST_ENTRIES = 100_000;

/** Whether a counter is used, and if not, how to have it used again. */
export function describeCounter({ name, problem, rows, entries }: InstalledCounter): Finding {
  if (problem === "dropped") return warning(`${name} has a counter, but was dropped`, REMOVE_UNUSED);
  if (problem !== null) {
    const { cause, remedy } = COUNTER_PROBLEMS[problem];
    return warning(`${name} is counted row by row, because its counter is not sound: ${cause}`, remedy);
  }
  if (entries > MOST_ENTRIES)
    return warning(
      `the counter of ${name} has ${formatCount(entries)} changes that were not folded`,
      "GRANT SELECT, INSERT, DELETE ON retraining_buffer_counts TO the role of the service",
    );
  return ok(`${name} has a counter: ${formatCount(rows)} rows`);
}
