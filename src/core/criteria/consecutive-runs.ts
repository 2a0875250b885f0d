import { atLeast, type Criterion } from "../check.ts";
import { duration, formatDuration, toMs } from "../duration.ts";
import type { Lever } from "../explain/lever.ts";
import { addChecks, fewerAlerts } from "../explain/levers.ts";
import { whole, type Fields, type FieldValues } from "../fields.ts";
import { counts, type Facts, listAllChecksWithin, timeOf } from "../facts.ts";
import { formatCount } from "../format.ts";

const fields = {
  atLeast: {
    schema: whole(1, 100),
    default: 2,
    meaning: "Minimum number of drift runs in a row with an alert.",
  },
  gap: {
    schema: duration("1s", "1d"),
    default: "1m",
    meaning: "Checks that follow each other within this time are one drift run.",
  },
  within: { schema: duration("1m"), default: "90d", meaning: "Older drift runs do not count." },
} as const satisfies Fields;

type Settings = FieldValues<typeof fields>;

/** The last drift runs all found drift: one odd run is not enough. */
export const consecutiveRuns = {
  id: "consecutive_runs",
  key: "consecutiveRuns",
  reason: "too_few_consecutive_runs",
  carries: "drift_detected",
  isDrift: true,
  label: "Enough drift runs in a row with an alert?",
  fields,
  shorthand: "atLeast",
  docs: {
    rule: "Each of the last N drift runs triggered an alert; checks within a minute of each other are one run.",
    example: "consecutiveRuns: 3",
  },
  needs: ({ within }) => ({ within, quietChecks: true }),
  evaluate: (facts, settings) => atLeast(settings.atLeast, countDrifted(facts, settings)),
  report: ({ actual, required }) => [
    `Runs in a row: ${formatCount(actual)}`,
    `Required: ${formatCount(required)}`,
  ],
  summarize: ({ actual }) => `Drift runs in a row: ${formatCount(actual)}`,
  brief: ({ result: { actual, required } }) =>
    `an alert in ${formatCount(actual)} of the ${formatCount(required)} drift runs in a row that it takes`,
  explain: ({ result: { actual, required } }) => [
    `Drift runs in a row with an alert: ${formatCount(actual)}, ${formatCount(required)} required`,
  ],
  advise: () => [],
  levers: (settings, place) => ({
    raise: [moreRuns(settings, place)],
    lower: [fewerAlerts("consecutive_runs")],
  }),
} as const satisfies Criterion<typeof fields>;

/** How many of the newest drift runs in a row have a triggered check that counts. */
function countDrifted(facts: Facts, { gap, within }: Settings): number {
  const gapMs = toMs(gap);
  let drifted = 0;
  let isDrifted = false;
  let previous: number | null = null;
  const { runsFrom } = facts.evidence.checks;
  const start = runsFrom === null ? Number.NEGATIVE_INFINITY : Date.parse(runsFrom);
  for (const check of listAllChecksWithin(facts, within)) {
    const at = timeOf(check);
    // Before that, a run without an alert may not have been read.
    if (at < start) break;
    // The checks come newest first: after a gap, an earlier run begins.
    if (previous !== null && previous - at > gapMs) {
      if (!isDrifted) return drifted;
      drifted += 1;
      isDrifted = false;
    }
    isDrifted ||= check.triggered && counts(check, facts);
    previous = at;
  }
  return isDrifted ? drifted + 1 : drifted;
}

function moreRuns({ atLeast: required, gap }: Settings, place: string): Lever {
  return {
    id: `more_runs@${place}`,
    check: "consecutive_runs",
    kind: "count",
    scale: required,
    limit: () => required,
    apply(evidence, size, { at }) {
      // Each run just far enough from the one before.
      const step = toMs(gap) + 1;
      const runs = Array.from({ length: size }, (_, index) => ({
        at: new Date(at + (index + 1) * step).toISOString(),
      }));
      return addChecks(evidence, runs, at);
    },
    describe: (size) =>
      size === 1
        ? "1 more drift run with an alert"
        : `${formatCount(size)} more drift runs in a row with an alert, more than ${formatDuration(toMs(gap))} apart`,
  };
}
