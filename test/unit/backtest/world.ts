import { type Backtest, replayInSteps } from "../../../src/core/backtest/backtest.ts";
import type { BacktestInput } from "../../../src/core/backtest/input.ts";
import type {
  Arrival,
  Past,
  PastCheck,
  PastDecision,
  PastTraining,
} from "../../../src/core/backtest/past.ts";
import { GUIDE_POLICY, parsePolicy, type Policy } from "../../../src/core/policy.ts";

export const DAY = 86_400_000;
const START = Date.parse("2026-09-01T00:00:00Z");

/** Some day of the period, at midnight. */
export const day = (number: number): number => START + number * DAY;

let ids = 0;

/** A check of `ks` on a day; an alert unless it says otherwise. */
export function check(number: number, changes: Partial<PastCheck> = {}): PastCheck {
  ids += 1;
  const at = day(number);
  const own = { at, seenAt: at, feature: "ks", score: 0.1, threshold: 0.05, triggered: true, samples: 1_000 };
  return { names: [`${ids}@${new Date(at).toISOString()}`], ...own, ...changes };
}

export const quiet = (number: number, changes: Partial<PastCheck> = {}): PastCheck =>
  check(number, { score: 0.01, triggered: false, ...changes });

export const rows = (number: number, count: number): Arrival => ({ at: day(number), rows: count });

/** A recorded decision of a day; to do nothing unless it says otherwise. */
export const recorded = (id: number, number: number, changes: Partial<PastDecision> = {}): PastDecision => ({
  id,
  at: day(number),
  decision: "no_action",
  codes: ["no_drift_alerts"],
  policyHash: "hash",
  bufferSize: 100,
  forced: null,
  alertIds: [],
  ...changes,
});

/** The training that a decision of a day started; it succeeded after an hour unless it says otherwise. */
export const training = (
  decisionId: number,
  number: number,
  changes: Partial<PastTraining> = {},
): PastTraining => ({
  decisionId,
  decidedAt: day(number),
  bufferSize: 100,
  requestedAt: day(number),
  result: "succeeded",
  endedAt: day(number) + 3_600_000,
  seconds: 3_600,
  ...changes,
});

/** Thirty days, with some of what may be known of them. */
function pastOf(known: Partial<Past>): Past {
  return {
    from: START,
    to: day(30),
    checks: [],
    arrivals: [],
    arrivalStepMs: 1,
    buffer: { unit: "rows", isSinceTraining: false },
    decisions: [],
    trainings: [],
    requestsOfOthers: [],
    events: [],
    snoozes: [],
    approvals: [],
    firstDecisionAt: null,
    ...known,
  };
}

/** @throws If the policy is faulty. */
export function policyOf(value: unknown): Policy {
  const faults: { message: string }[] = [];
  const policy = parsePolicy(value, GUIDE_POLICY, [], faults as never[]);
  if (faults.length > 0) throw new Error(faults.map(({ message }) => message).join());
  return policy;
}

/** The result of a computation in steps. */
export function drain<Result>(steps: Generator<unknown, Result>): Result {
  for (let step = steps.next(); ; step = steps.next()) if (step.done) return step.value;
}

export const backtest = (input: BacktestInput): Backtest => drain(replayInSteps(input));

export function inputOf(known: Partial<Past>, changes: Partial<BacktestInput> = {}): BacktestInput {
  return {
    past: pastOf(known),
    policyHash: "hash",
    inForce: policyOf({ when: [{ driftAlerts: 1 }, { bufferSize: 100 }] }),
    candidate: null,
    cadence: { everyMs: DAY },
    settings: { isMock: false, usualSeconds: 3_600, flightLimitMs: DAY, expectDriftRunEvery: null },
    ...changes,
  };
}
