import { describeProblem, REPAIR_COUNTER } from "../../core/counter.ts";
import { type Finding, ok, warning } from "../../core/finding.ts";
import { formatCount } from "../../core/format.ts";
import type { InstalledCounter } from "../../postgres/counters/inspect.ts";

/** A counter folds by itself once a decision has read it, unless the service may not change it. */
const MOST_ENTRIES = 100_000;

/** Whether a counter is used, and if not, how to have it used again. */
export function describeCounter({ name, problem, rows, entries }: InstalledCounter): Finding {
  if (problem === "dropped")
    return warning(`${name} has a counter, but was dropped`, "npx retrigger counters remove");
  if (problem !== null)
    return warning(
      `${name} is counted row by row, because its counter is not sound: ${describeProblem(problem)}`,
      REPAIR_COUNTER,
    );
  if (entries > MOST_ENTRIES)
    return warning(
      `the counter of ${name} consists of ${formatCount(entries)} changes, which no decision has folded`,
      "GRANT SELECT, INSERT, DELETE ON retraining_buffer_counts to the service",
    );
  return ok(`${name} has a counter: ${formatCount(rows)} rows`);
}
