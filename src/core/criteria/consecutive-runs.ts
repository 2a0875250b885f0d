import { atLeast, type Criterion } from "../check.ts";
import { duration, formatDuration, toMs } from "../duration.ts";
import type { WeighedCheck } from "../evidence.ts";
import type { Lever } from "../explain/lever.ts";
import { addChecks, fewerAlerts } from "../explain/levers.ts";
import { whole, type Fields, type FieldValues } from "../fields.ts";
import { type Facts, listAllChecks, listChecks, timeOf } from "../facts.ts";
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
    rule: "The last so many drift runs each triggered an alert; checks within a minute of each other are one run.",
    example: "consecutiveRuns: 3",
  },
  needs: ({ within }) => ({ within, quietChecks: true }),
  evaluate: (facts, settings) => atLeast(settings.atLeast, countDrifted(facts, settings)),
  report: ({ actual, required }) => [
    `Runs in a row: ${formatCount(actual)}`,
    `Required: ${formatCount(required)}`,
  ],
  summarize: ({ actual }) => `Drift runs in a row: ${formatCount(actual)}`,
  explain: ({ result: { actual, required } }) => [
    `Drift runs in a row with an alert: ${formatCount(actual)}, ${formatCount(required)} required`,
  ],
  advise: () => [],
  levers: (settings, place) => ({
    raise: [moreRuns(settings, place)],
    lower: [fewerAlerts("consecutive_runs")],
  }),
} as const satisfies Criterion<typeof fields>;

/** How many of the newest drift runs have a triggered check that counts. */
function countDrifted(facts: Facts, { gap, within }: Settings): number {
  const start = facts.now - toMs(within);
  const counting = new Set(listChecks(facts));
  let drifted = 0;
  for (const run of listRuns(
    listAllChecks(facts).filter((check) => timeOf(check) > start),
    toMs(gap),
  )) {
    if (!run.some((check) => check.triggered && counting.has(check))) break;
    drifted += 1;
  }
  return drifted;
}

/** Groups checks, newest first, into runs. */
function listRuns(checks: readonly WeighedCheck[], gapMs: number): WeighedCheck[][] {
  const runs: WeighedCheck[][] = [];
  let previous = Number.POSITIVE_INFINITY;
  for (const check of checks) {
    const at = timeOf(check);
    const run = runs.at(-1);
    if (run && previous - at <= gapMs) run.push(check);
    else runs.push([check]);
    previous = at;
  }
  return runs;
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
