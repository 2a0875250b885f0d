import fc from "fast-check";
import { Evidence, type WeighedCheck } from "../../../src/core/evidence.ts";
import { needsOf, type Policy } from "../../../src/core/policy.ts";
import { ms } from "./second-drift.ts";

/* Random evidence, as gather would read it for a policy. */

/** The windows that policies use. */
export const SPANS = ["1h", "2h", "1d", "7d", "30d"] as const;
export const FEATURES = ["ks", "mean", "std", "null_rate"] as const;

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
  /** How many checks of each feature are read. */
  depth: fc.oneof({ weight: 4, arbitrary: fc.constant(100) }, fc.integer({ min: 1, max: 4 })),
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
    weighed: quietChecks
      ? leaveOut(
          all.filter(({ age }) => age < ms(reach)),
          state.depth,
          ms(within),
        )
      : alerts,
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

/** Of each feature's checks, only so many are read; of the older ones, only recent alerts. */
function leaveOut(
  checks: readonly { age: number; check: WeighedCheck }[],
  depth: number,
  withinMs: number,
): WeighedCheck[] {
  const read = new Map<string | null, number>();
  return checks.flatMap(({ age, check }) => {
    const nth = read.get(check.feature) ?? 0;
    read.set(check.feature, nth + 1);
    if (nth < depth) return [check];
    return check.triggered && age < withinMs ? [{ ...check, hasGap: true }] : [];
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
    hasGap: false,
    answeredBy: fate === "answered" ? 5 : null,
    failed: typeof fate === "string" ? null : { endedAt: ago(fate.ago), failures: fate.failures },
  };
}
