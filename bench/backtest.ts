import { parsePolicy, GUIDE_POLICY } from "../src/core/policy.ts";
import { replayInSteps } from "../src/core/backtest/backtest.ts";
import type { Past } from "../src/core/backtest/past.ts";
import { runInSteps } from "../src/use-cases/run-in-steps.ts";

/*
 * Replays a year of hourly evaluations, for a policy in force and a candidate: `npm run bench:backtest`. Three features are checked every
 * hour, and 500 batches arrive.
 */

const HOUR_MS = 3_600_000;
const HOURS = 365 * 24;
const BATCHES = 500;
const FEATURES = ["ks", "mean", "std"];

const to = Date.parse("2026-11-29T00:00:00Z");
const from = to - HOURS * HOUR_MS;
const past: Past = {
  from,
  to,
  checks: Array.from({ length: HOURS }, (_, hour) => from + hour * HOUR_MS).flatMap((at, hour) =>
    FEATURES.map((feature, index) => {
      const score = 0.03 + 0.03 * Math.sin(hour / 97 + index);
      const id = `${hour * FEATURES.length + index}@${new Date(at).toISOString()}`;
      return {
        names: [id],
        at,
        seenAt: at,
        feature,
        score,
        threshold: 0.05,
        triggered: score > 0.05,
        samples: 1_000,
      };
    }),
  ),
  arrivals: Array.from({ length: BATCHES }, (_, batch) => ({
    at: from + ((batch + 0.5) * HOURS * HOUR_MS) / BATCHES,
    rows: 20_000,
  })),
  arrivalStepMs: 1,
  buffer: { unit: "ratings", isSinceTraining: true },
  decisions: [],
  trainings: [],
  requestsOfOthers: [],
  events: [],
  snoozes: [],
  approvals: [],
  firstDecisionAt: null,
};

const policyOf = (value: unknown) => parsePolicy(value, GUIDE_POLICY, [], []);
const started = performance.now();
const result = await runInSteps(
  replayInSteps({
    past,
    policyHash: "",
    inForce: policyOf({
      when: [{ driftAlerts: { atLeast: 3, within: "7d" } }, { bufferSize: 100_000 }],
      guards: { cooldown: "7d" },
    }),
    candidate: policyOf({
      when: [{ features: { atLeast: 2, within: "3d" } }, { bufferSize: 150_000 }],
      guards: { cooldown: "3d" },
    }),
    cadence: { everyMs: HOUR_MS },
    settings: { isMock: false, usualSeconds: 1_800, flightLimitMs: 86_400_000, expectDriftRunEvery: null },
  }),
);
const seconds = (performance.now() - started) / 1_000;
const megabytes = process.memoryUsage().rss / 1e6;
console.log(
  `A year of hourly evaluations: ${result.inForce.firings.length} and ${result.candidate?.firings.length} firings in ${seconds.toFixed(2)} s, ${megabytes.toFixed(0)} MB of memory.`,
);
