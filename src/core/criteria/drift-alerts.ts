import { computeBackoffEnd } from "../backoff.ts";
import { atLeast, type Criterion } from "../check.ts";
import { duration } from "../duration.ts";
import { EVIDENCE_LIMITS } from "../evidence.ts";
import { fewerAlerts, moreAlerts } from "../explain/levers.ts";
import { whole, type Fields } from "../fields.ts";
import { type Facts, listChecksWithin } from "../facts.ts";
import { formatCount } from "../format.ts";

const fields = {
  atLeast: {
    schema: whole(1, EVIDENCE_LIMITS.alertIds),
    default: 1,
    meaning: "Minimum number of triggered alerts.",
  },
  within: { schema: duration("1m"), default: "7d", meaning: "Older alerts do not count." },
} as const satisfies Fields;

/** Enough of the recent drift checks triggered an alert. */
export const driftAlerts = {
  id: "drift_alerts",
  key: "driftAlerts",
  reason: "no_drift_alerts",
  carries: "drift_detected",
  isDrift: true,
  label: "Drift alerts triggered?",
  fields,
  shorthand: "atLeast",
  docs: {
    rule: "At least N drift checks triggered an alert within the time.",
    example: "driftAlerts: { atLeast: 1, within: 7d }",
  },
  needs: ({ within }) => ({ within }),
  evaluate(facts, { atLeast: required, within }) {
    const { evidence, now, sampleFloor } = facts;
    const listed = listChecksWithin(facts, within).filter(({ triggered }) => triggered).length;
    // The list is bounded, the counts in the snapshot are not.
    const isCounted =
      (evidence.weighed?.length ?? 0) >= EVIDENCE_LIMITS.weighed &&
      sampleFloor === 0 &&
      within === (evidence.window ?? within) &&
      now === Date.parse(evidence.takenAt);
    return atLeast(required, isCounted ? Math.max(listed, countInSnapshot(facts)) : listed);
  },
  report: ({ actual, required }) => [`Count: ${formatCount(actual)}`, `Required: ${formatCount(required)}`],
  summarize: ({ actual }) => `Drift detected: ${formatCount(actual)} alert(s)`,
  brief: ({ result: { actual, required }, evidence: { checks } }) =>
    checks.total === 0
      ? "drift is unknown"
      : actual === 0
        ? "no drift"
        : `only ${formatCount(actual)} of ${formatCount(required)} drift alerts`,
  explain: ({ result: { actual, required } }) => [
    `Drift alerts: ${formatCount(actual)} triggered, ${formatCount(required)} required (${formatCount(required - actual)} short)`,
  ],
  advise: () => [],
  levers: ({ atLeast: required }) => ({
    raise: [moreAlerts("drift_alerts", required, required)],
    lower: [fewerAlerts("drift_alerts")],
  }),
} as const satisfies Criterion<typeof fields>;

/** The alerts of the window that count, by the exact counts of the snapshot. */
function countInSnapshot({ evidence: { checks, alerts }, now, counting, backoff }: Facts): number {
  if (counting === "all") return checks.triggered;
  if (counting === "unanswered" || backoff === null) return alerts.unanswered;
  const held = alerts.failed.filter((failure) => computeBackoffEnd(failure, backoff) > now);
  return alerts.unanswered - held.reduce((sum, { alerts: count }) => sum + count, 0);
}
