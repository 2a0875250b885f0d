import { atLeast, type Criterion } from "../check.ts";
import { duration, toMs } from "../duration.ts";
import { addChecks, switchOver } from "../explain/levers.ts";
import { type Fields, whole } from "../fields.ts";
import { weighedChecks, timeOf } from "../facts.ts";
import { formatCount } from "../format.ts";

const fields = {
  atLeast: {
    schema: whole(1, 1e12),
    default: 200,
    meaning: "Checks on fewer samples are ignored by every criterion.",
  },
  within: {
    schema: duration("1m"),
    default: "7d",
    meaning: "A check on enough samples must exist within this time.",
  },
} as const satisfies Fields;

/** Checks on too few samples say little, so every criterion ignores them; a veto of `dataQuality` counts all the same. */
export const sampleFloor = {
  id: "sample_floor",
  key: "sampleFloor",
  reason: "too_few_samples",
  carries: null,
  isDrift: false,
  label: "A check on enough samples?",
  fields,
  columns: ["samples"],
  shorthand: "atLeast",
  docs: {
    rule: "Makes every criterion ignore checks on fewer samples; holds if one check within the time has enough.",
    example: "sampleFloor: 200",
    source: "False alarms of PSI become rare above about 200 samples",
  },
  needs: ({ within }) => ({ within, quietChecks: true }),
  evaluate({ evidence, now }, { atLeast: required, within }) {
    const start = now - toMs(within);
    const samples = weighedChecks(evidence)
      .filter((check) => timeOf(check) > start)
      .map((check) => check.samples ?? 0);
    return atLeast(required, Math.max(0, ...samples));
  },
  report: ({ actual, required }) => [
    `Most samples of a check: ${formatCount(actual)}`,
    `Required: ${formatCount(required)}`,
  ],
  brief: ({ result: { required } }) => `no check on ${formatCount(required)} samples or more`,
  explain: ({ result: { actual, required } }) => [
    `Samples: no check on ${formatCount(required)} or more, the largest has ${formatCount(actual)}`,
  ],
  advise: (_, name) => [`Let drift_monitoring wait for more data, or lower ${name}`],
  levers: ({ atLeast: required }) => ({
    raise: [
      switchOver(
        "large_check",
        "sample_floor",
        `a check on ${formatCount(required)} samples`,
        (evidence, at) => addChecks(evidence, [{ triggered: false, samples: required }], at),
      ),
    ],
    lower: [],
  }),
} as const satisfies Criterion<typeof fields>;
