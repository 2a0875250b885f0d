import { atLeast, type Check, type CheckSettings } from "../check.ts";
import { formatCount } from "../format.ts";
import { wholeNumber } from "../setting.ts";

const settings = {
  lookbackHours: {
    variable: "DRIFT_LOOKBACK_HOURS",
    modelKey: "driftLookbackHours",
    schema: wholeNumber(1, 100_000),
    default: "168",
    meaning: "Drift checks older than this do not count (by the database's clock).",
  },
} as const satisfies CheckSettings;

/** Drift monitoring has run recently. */
export const recentDriftChecks = {
  id: "recent_drift_checks",
  reason: "no_recent_drift_checks",
  label: "Recent drift checks exist?",
  settings,
  evaluate: ({ checks }) => atLeast(1, checks.total),
  report: () => [],
  explain: ({ settings: { lookbackHours } }) => [
    `Recent drift checks: none in the last ${formatCount(lookbackHours)} hours, at least 1 required`,
  ],
  advise: () => ["Run drift_monitoring first"],
} as const satisfies Check<typeof settings>;
