import { atLeast, type Criterion } from "../check.ts";
import { describeSpan, duration, toMs } from "../duration.ts";
import { addChecks, switchOver } from "../explain/levers.ts";
import type { Fields } from "../fields.ts";
import { listAllChecksWithin } from "../facts.ts";
import { formatCount } from "../format.ts";

const fields = {
  within: {
    schema: duration("1m"),
    default: "7d",
    meaning: "Drift checks older than this do not count (by the database's clock).",
  },
} as const satisfies Fields;

/** Drift monitoring has run recently. */
export const recentDriftChecks = {
  id: "recent_drift_checks",
  key: "recentDriftChecks",
  reason: "no_recent_drift_checks",
  carries: null,
  isDrift: false,
  label: "Recent drift checks exist?",
  fields,
  shorthand: "within",
  docs: {
    rule: "Drift monitoring has checked at least one feature within the time.",
    example: "recentDriftChecks: 7d",
  },
  needs: ({ within }) => ({ within }),
  evaluate(facts, { within }) {
    const { evidence, now, sampleFloor } = facts;
    const isSnapshot =
      now === Date.parse(evidence.takenAt) && within === (evidence.window ?? within) && sampleFloor === 0;
    if (isSnapshot) return atLeast(1, evidence.checks.total);
    if (evidence.hasQuietChecks) return atLeast(1, listAllChecksWithin(facts, within).length);
    const start = now - toMs(within);
    const recent = evidence.checks.newest.filter(({ checkedAt }) => Date.parse(checkedAt) > start);
    return atLeast(1, recent.length);
  },
  report: () => [],
  brief: ({ settings: { within } }) => `no drift check in the last ${describeSpan(toMs(within))}`,
  explain: ({ settings: { within } }) => [
    `Recent drift checks: none in the last ${formatHours(within)}, at least 1 required`,
  ],
  advise: () => ["Run drift_monitoring first"],
  levers: () => ({
    raise: [
      switchOver("drift_check", "recent_drift_checks", "a drift check", (evidence, at) =>
        addChecks(evidence, [{ triggered: false }], at),
      ),
    ],
    lower: [],
  }),
} as const satisfies Criterion<typeof fields>;

/** "168 hours", as the guide counts; whatever is no whole hour as a span. */
export function formatHours(within: string): string {
  const hours = toMs(within) / 3_600_000;
  return Number.isInteger(hours) ? `${formatCount(hours)} hours` : describeSpan(toMs(within));
}
