import { atLeast, type Check, type CheckSettings } from "../check.ts";
import { EVIDENCE_LIMITS } from "../evidence.ts";
import { formatCount } from "../format.ts";
import { wholeNumber } from "../setting.ts";

const settings = {
  minAlertsTriggered: {
    variable: "MIN_ALERTS_TRIGGERED",
    modelKey: "minAlertsTriggered",
    schema: wholeNumber(1, EVIDENCE_LIMITS.alertIds),
    default: "1",
    meaning: "Minimum number of triggered alerts.",
  },
} as const satisfies CheckSettings;

/** Enough of the recent drift checks triggered an alert. */
export const driftAlerts = {
  id: "drift_alerts",
  reason: "no_drift_alerts",
  label: "Drift alerts triggered?",
  settings,
  evaluate: ({ checks }, { minAlertsTriggered }) => atLeast(minAlertsTriggered, checks.triggered),
  report: ({ actual, required }) => [`Count: ${formatCount(actual)}`, `Required: ${formatCount(required)}`],
  summarize: ({ actual }) => `Drift detected: ${formatCount(actual)} alert(s)`,
  explain: ({ result: { actual, required } }) => [
    `Drift alerts: ${formatCount(actual)} triggered, ${formatCount(required)} required (${formatCount(required - actual)} short)`,
  ],
  advise: () => [],
} as const satisfies Check<typeof settings>;
