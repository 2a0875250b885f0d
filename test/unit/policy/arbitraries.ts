import fc from "fast-check";
import { Evidence, type WeighedCheck } from "../../../src/core/evidence.ts";
import type { Fault } from "../../../src/core/fields.ts";
import { GUIDE_POLICY, needsOf, parsePolicy, type Policy } from "../../../src/core/policy.ts";
import { ms } from "./second-drift.ts";

/*
 * Random policies, written as a user writes them, and random evidence as gather would read it for them. Figures are few and
 * exact in binary, so that ties and limits are met often and sums do not depend on their order.
 */

const SPANS = ["1h", "2h", "1d", "7d", "30d"] as const;
const FEATURES = ["ks", "mean", "std", "null_rate"] as const;

/** Instants near a change of the clock in Europe/Paris and America/New_York, and one far from any. */
const NOWS = ["2026-10-25T01:30:00Z", "2026-03-29T00:59:59Z", "2026-11-01T06:30:00Z", "2026-07-15T12:00:00Z"];

/** How long ago something was, in milliseconds: often exactly at the edge of a window. */
const ages = fc.oneof(
  fc
    .tuple(fc.constantFrom(...SPANS, "60s", "90m", "61d"), fc.constantFrom(-1000, -1, 0, 1, 1000))
    .map(([span, off]) => Math.max(0, ms(span) + off)),
  fc.integer({ min: 0, max: 40 * 86_400 }).map((seconds) => seconds * 1000),
  fc.integer({ min: 0, max: 86_400 }).map((seconds) => seconds * 1000),
  fc.constantFrom(0, 1000, 59_000, 60_000, 61_000),
);

const scores = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 40 }).map((sixteenths) => sixteenths / 16) },
  { weight: 1, arbitrary: fc.constant(null) },
);
const failures = fc.record({ ago: ages, failures: fc.integer({ min: 1, max: 12 }) });

const rows = fc.record({
  age: ages,
  feature: fc.option(fc.constantFrom(...FEATURES), { freq: 6 }),
  score: scores,
  threshold: fc.constantFrom(0.25, 0.5, 1, 0.125, 0, -1, null),
  triggered: fc.boolean(),
  samples: fc.constantFrom(null, 0, 99, 100, 199, 200, 5_000),
  fate: fc.oneof(
    { weight: 3, arbitrary: fc.constant("fresh" as const) },
    { weight: 1, arbitrary: fc.constant("answered" as const) },
    { weight: 1, arbitrary: failures },
  ),
});

const flights = fc.record({
  state: fc.constantFrom("pending", "sent", "running", "unknown"),
  left: fc.option(
    fc.oneof(
      ages,
      ages.map((ago) => -ago),
    ),
  ),
});

/** The state of a model's world, before a policy selects from it. Ages are in milliseconds. */
export const states = fc.record({
  now: fc.constantFrom(...NOWS).map((text) => Date.parse(text)),
  rows: fc.oneof(fc.array(rows, { maxLength: 5 }), fc.array(rows, { maxLength: 14 })),
  size: fc.oneof(fc.constantFrom(0, 1, 99, 100, 101), fc.nat(300)),
  grown: fc.option(fc.oneof(fc.constantFrom(0, 99, 100, 101), fc.nat(300))),
  waiting: fc.option(
    fc.record({ rows: fc.nat(64), rowDays: fc.integer({ min: 0, max: 640 }).map((n) => n / 8) }),
  ),
  nextRows: fc.option(fc.nat(300)),
  // Two at most, so that the line through them is exact.
  durations: fc.array(
    fc.record({
      rows: fc.constantFrom(0, 128, 256),
      seconds: fc.integer({ min: 1, max: 8 }).map((n) => n * 1800),
    }),
    { maxLength: 2 },
  ),
  flights: fc.oneof(
    { weight: 3, arbitrary: fc.array(flights, { maxLength: 0 }) },
    fc.array(flights, { maxLength: 2 }),
  ),
  lastRequested: fc.option(ages),
  lastSucceeded: fc.option(fc.record({ age: ages, bufferSize: fc.option(fc.nat(200)) })),
  lastFailed: fc.option(failures, { freq: 1 }),
  firstDecision: fc.option(ages),
  requested: fc.array(ages, { maxLength: 5 }),
  requestedByOthers: fc.array(ages, { maxLength: 5 }),
  snooze: fc.option(
    fc.oneof(
      ages,
      ages.map((ago) => -ago),
    ),
    { freq: 1 },
  ),
  approval: fc.option(
    fc.record({
      state: fc.constantFrom("open", "approved", "rejected", "used", "void"),
      age: ages,
      left: fc.oneof(
        ages,
        ages.map((ago) => -ago),
      ),
      answered: ages,
    }),
  ),
  isForced: fc.integer({ min: 0, max: 9 }).map((n) => n === 0),
});
type State = typeof states extends fc.Arbitrary<infer T> ? T : never;

/** Evidence as gather reads it for a policy: what it needs, newest first. */
export function gatherFor(state: State, policy: Policy): Evidence {
  const { now } = state;
  const iso = (time: number): string => new Date(time).toISOString();
  const ago = (age: number): string => iso(now - age);
  const { within, reach, quietChecks } = needsOf(policy);
  const all = state.rows
    .toSorted((a, b) => a.age - b.age)
    .map((row, index): { age: number; check: WeighedCheck } => ({
      age: row.age,
      check: toCheck(row, index, ago),
    }));
  const recent = all.filter(({ age }) => age < ms(within)).map(({ check }) => check);
  const alerts = recent.filter(({ triggered }) => triggered);
  const listed = (checks: readonly WeighedCheck[]) =>
    checks.map((check) => ({ ...check, checkedAt: check.at, notes: null }));
  const history = state.requested.toSorted((a, b) => a - b);
  return Evidence.parse({
    takenAt: iso(now),
    checks: {
      total: recent.length,
      triggered: alerts.length,
      newest: listed(recent),
      newestTriggered: listed(alerts),
    },
    window: within,
    hasQuietChecks: quietChecks,
    weighed: quietChecks ? all.filter(({ age }) => age < ms(reach)).map(({ check }) => check) : alerts,
    alerts: {
      ids: alerts.map(({ id }) => id),
      unanswered: alerts.filter(({ answeredBy }) => answeredBy === null).length,
      answeredBy: [],
      failed: [],
    },
    inFlight: state.flights.map(({ state: phase, left }) => ({
      decisionId: 7,
      trainer: "github",
      state: phase,
      since: ago(1000),
      until: left === null ? null : iso(now + left),
      url: null,
    })),
    buffer: {
      size: state.size,
      batchCount: 0,
      batches: [],
      grown: state.grown,
      waiting: state.waiting,
    },
    trainings: {
      lastRequestedAt: state.lastRequested === null ? null : ago(state.lastRequested),
      lastSucceeded: state.lastSucceeded && {
        decisionId: 3,
        at: ago(state.lastSucceeded.age),
        bufferSize: state.lastSucceeded.bufferSize,
      },
      lastFailed: state.lastFailed && {
        decisionId: 4,
        endedAt: ago(state.lastFailed.ago),
        failures: state.lastFailed.failures,
      },
      firstDecisionAt: state.firstDecision === null ? null : ago(state.firstDecision),
      requestedAt: history.map(ago),
      requestedByAll: [...history, ...state.requestedByOthers].toSorted((a, b) => a - b).map(ago),
      durations: state.durations,
      nextRows: state.nextRows,
    },
    interventions: {
      snooze:
        state.snooze === null ? null : { until: ago(state.snooze), reason: "a release", by: "operator" },
      approval: state.approval && {
        decisionId: 9,
        state: state.approval.state,
        requestedAt: ago(state.approval.age),
        expiresAt: iso(now + state.approval.left),
        answeredAt: ["open", "void"].includes(state.approval.state) ? null : ago(state.approval.answered),
        by: null,
        reason: null,
      },
      override: state.isForced ? { id: 1, by: "operator", reason: "a demonstration" } : null,
    },
    lastDecisions: [],
  });
}

function toCheck(row: State["rows"][number], index: number, ago: (age: number) => string): WeighedCheck {
  const { feature, score, threshold, triggered, samples, fate } = row;
  return {
    id: `${index}@${ago(row.age)}`,
    at: ago(row.age),
    feature,
    score,
    threshold,
    triggered,
    samples,
    answeredBy: fate === "answered" ? 5 : null,
    failed: typeof fate === "string" ? null : { endedAt: ago(fate.ago), failures: fate.failures },
  };
}

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
