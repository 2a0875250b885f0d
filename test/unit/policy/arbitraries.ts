import fc from "fast-check";
import type { Fault } from "../../../src/core/fields.ts";
import { GUIDE_POLICY, parsePolicy, type Policy } from "../../../src/core/policy.ts";
import { FEATURES, gatherFor, SPANS, states } from "./evidence-arbitraries.ts";

/*
 * Random policies, written as a user writes them. Figures are few and exact in binary, so that ties and limits are met
 * often and sums do not depend on their order.
 */

const spans = fc.constantFrom(...SPANS);
const few = fc.integer({ min: 1, max: 3 });
const names = fc.uniqueArray(fc.constantFrom(...FEATURES), { minLength: 1, maxLength: 3 });

/** Settings of which each may be left out. */
function settings(fields: Record<string, fc.Arbitrary<unknown>>, requiredKeys: string[] = []) {
  return fc.record(fields, { requiredKeys });
}

/** Each criterion, with a plain value or with settings. */
const LEAVES: Readonly<Record<string, fc.Arbitrary<unknown>>> = {
  recentDriftChecks: fc.oneof(spans, settings({ within: spans })),
  driftAlerts: fc.oneof(few, settings({ atLeast: few, within: spans })),
  bufferSize: fc.constantFrom(0, 1, 100, { atLeast: 150 }),
  features: fc.oneof(
    few,
    settings({ atLeast: few, of: names, within: spans }),
    settings(
      {
        atLeast: fc.constantFrom(0.5, 1.5, 2),
        weights: fc.dictionary(fc.constantFrom(...FEATURES), fc.constantFrom(0.5, 1, 2), { minKeys: 1 }),
        within: spans,
      },
      ["weights"],
    ),
  ),
  consecutiveRuns: fc.oneof(
    few,
    settings({ atLeast: few, gap: fc.constantFrom("1m", "30s", "1h"), within: spans }),
  ),
  severity: fc.oneof(
    fc.constantFrom(0.5, 1, 2, 4),
    settings({ worst: fc.constantFrom(0.5, 2, 3), within: spans }, ["worst"]),
    settings({ mean: fc.constantFrom(0.5, 1, 2), within: spans }, ["mean"]),
  ),
  quantile: settings(
    {
      q: fc.constantFrom(0.05, 0.25, 0.5),
      last: fc.integer({ min: 2, max: 4 }),
      within: spans,
      reach: fc.constantFrom("30d", "60d"),
    },
    ["last"],
  ),
  cusum: fc.oneof(
    fc.constantFrom(0.5, 1, 4),
    settings({ atLeast: fc.constantFrom(0.25, 1, 2), slack: fc.constantFrom(-0.5, 0, 0.5), within: spans }),
  ),
  sampleFloor: fc.oneof(fc.constantFrom(1, 100, 200), settings({ atLeast: fc.constant(100), within: spans })),
  maxAge: fc.oneof(spans, fc.constant({ atLeast: "60d" })),
  bufferGrowth: fc.constantFrom(1, 100, { atLeast: 150 }),
  waitingCost: fc.oneof(
    fc.constantFrom(1, 8, 40),
    settings({ hourWorth: fc.constantFrom(0.5, 16), assume: fc.constantFrom("30m", "1h", "2h") }, [
      "hourWorth",
    ]),
  ),
};

const leaves = fc
  .constantFrom(...Object.keys(LEAVES))
  .chain((key) => (LEAVES[key] ?? fc.constant(null)).map((value) => ({ [key]: value })));

const { tree: conditions } = fc.letrec<{ tree: unknown; list: unknown[] }>((tie) => ({
  tree: fc.oneof(
    { maxDepth: 3, withCrossShrink: true },
    leaves,
    leaves,
    tie("list"),
    tie("list").map((all) => ({ all })),
    tie("list").map((any) => ({ any })),
    tie("list").chain((of) => fc.integer({ min: 1, max: of.length }).map((atLeast) => ({ atLeast, of }))),
    // Several criteria side by side in a mapping.
    fc.tuple(leaves, leaves).map(([one, other]) => ({ ...one, ...other })),
  ),
  list: fc.array(tie("tree"), { minLength: 1, maxLength: 3 }),
}));

const days = fc.uniqueArray(fc.constantFrom("mon", "tue", "wed", "thu", "fri", "sat", "sun"), {
  minLength: 1,
  maxLength: 3,
});
const hours = fc.constantFrom("22:00-06:00", "01:00-03:00", "02:30-02:00", "00:00-12:30", "12:00-12:01");
const zones = fc.constantFrom(
  "UTC",
  "Europe/Paris",
  "America/New_York",
  "Asia/Kolkata",
  "Australia/Lord_Howe",
);
const budgets = fc.record({ atMost: few, per: spans });
const onOff = fc.constantFrom("on", "off");

const guards = fc.record(
  {
    alreadyActedOn: onOff,
    retryBackoff: fc.constantFrom("off", "on", "10m", "1h", "1d", { base: "2h" }),
    trainingInFlight: onOff,
    cooldown: fc.oneof(spans, fc.record({ for: spans, since: fc.constantFrom("training", "success") })),
    quietHours: fc.oneof(
      settings({ days, zone: zones }, ["days"]),
      settings({ hours, days, zone: zones }, ["hours"]),
    ),
    budget: budgets,
    totalBudget: budgets,
    dataQuality: fc.oneof(
      fc.constant({ veto: ["null_rate"] }),
      settings({ veto: names, within: spans }, ["veto"]),
    ),
    snooze: onOff,
    approval: fc.constantFrom("on", "1h", { expires: "24h" }),
  },
  { requiredKeys: [] },
);
/** Most policies have few guards: else nearly every decision would be held by one. */
const someGuards = fc
  .tuple(
    guards,
    fc.subarray(["cooldown", "quietHours", "budget", "totalBudget", "dataQuality", "approval"], {
      maxLength: 6,
      minLength: 3,
    }),
  )
  .map(([own, dropped]) => Object.fromEntries(Object.entries(own).filter(([key]) => !dropped.includes(key))));

/** Policies as users write them. */
const written = fc.record({ when: conditions, guards: someGuards }, { requiredKeys: ["when"] });

/** Policies that the parser takes. */
export const policies: fc.Arbitrary<Policy> = written
  .map((value) => {
    const faults: Fault[] = [];
    const policy = parsePolicy(value, GUIDE_POLICY, ["policy"], faults);
    return faults.length === 0 ? policy : null;
  })
  .filter((policy) => policy !== null);

/** A policy and evidence gathered for it. */
export const cases = fc
  .tuple(policies, states)
  .map(([policy, state]) => ({ policy, evidence: gatherFor(state, policy) }));

/** How often a property is tried: PROPERTY_RUNS in the long form. */
export function runsOf(standard: number): number {
  return Number(process.env["PROPERTY_RUNS"] ?? standard);
}
