import { describe, expect, it } from "vitest";
import { CRITERIA } from "../../../src/core/criteria/registry.ts";
import { evaluate } from "../../../src/core/evaluate.ts";
import { policyFrom, TAKEN_AT, withChecks } from "./tables.ts";

const HOUR = 3_600_000;
const DAY = 24 * HOUR;

const ago = (ms: number): string => new Date(TAKEN_AT - ms).toISOString();
const GUIDE = {
  all: [{ recentDriftChecks: "7d" }, { driftAlerts: { within: "7d" } }, { bufferSize: 100_000 }],
};
/** A buffer that grows by 400 rows an hour. */
const growing = (size: number) => ({
  size,
  unit: "ratings",
  earlier: { size: size - 67_200, at: ago(7 * DAY) },
});

function flipsOf(when: object, evidence: ReturnType<typeof withChecks>, guards: object = {}) {
  const { explanation } = evaluate(evidence, policyFrom({ when, guards }));
  return (explanation?.nearestFlips ?? []).map(({ text, eta }) => [text, eta?.text ?? null]);
}

describe("the time that a change takes", () => {
  it("is known from the pace of the buffer", () => {
    const evidence = withChecks([{ triggered: true, ago: HOUR }], { buffer: growing(87_600) });
    expect(flipsOf(GUIDE, evidence)).toEqual([
      ["12,400 more ratings", "about 31 h at the pace of the last 7 days"],
    ]);
  });

  it("is too long if the alert leaves the window before", () => {
    const evidence = withChecks([{ triggered: true, ago: 7 * DAY - 20 * HOUR }], { buffer: growing(87_600) });
    expect(flipsOf(GUIDE, evidence)).toEqual([
      [
        "12,400 more ratings",
        "about 31 h at the pace of the last 7 days; the newest alert leaves the window in 20 h, before that",
      ],
    ]);
  });

  it("is unknown if the buffer has not grown", () => {
    const buffer = { size: 10, unit: "ratings", earlier: { size: 10, at: ago(DAY) } };
    const evidence = withChecks([{ triggered: true, ago: HOUR }], { buffer });
    expect(flipsOf(GUIDE, evidence)).toEqual([["99,990 more ratings", null]]);
  });

  it("is that of the clock if time alone turns the decision", () => {
    const evidence = withChecks([{ triggered: true }], { trainings: { lastRequestedAt: ago(6 * DAY) } });
    expect(flipsOf({ driftAlerts: 1 }, evidence, { cooldown: "7d" })).toEqual([
      [expect.stringMatching(/^cooldown ends \d{4}-\d\d-\d\d \d\d:\d\d UTC$/), "in 24 h"],
    ]);
  });
});

describe("a model that is not retrained", () => {
  const examples: Record<string, object> = {
    recentDriftChecks: { when: [{ recentDriftChecks: "7d" }, { bufferSize: 1 }], checks: [] },
    sampleFloor: { when: [{ sampleFloor: 100 }, { bufferSize: 1 }], checks: [{ samples: 5 }] },
    quantile: {
      when: { quantile: { last: 2 } },
      checks: [1, 2, 3].map((hours) => ({ ago: hours * HOUR, feature: "ks", score: 0.1 })),
    },
  };

  it.each(CRITERIA.map(({ key }) => key))("is told what would turn it if only %s fails", (key) => {
    const given = (examples[key] ?? { when: { [key]: EXAMPLES[key] }, checks: [{ feature: "ks" }] }) as {
      when: object;
      checks: Parameters<typeof withChecks>[0];
    };
    const evidence = withChecks(given.checks, {
      buffer: { size: 1, grown: 0, waiting: { rows: 1, rowDays: 0 } },
      trainings: { firstDecisionAt: ago(DAY) },
    });
    expect(flipsOf(given.when, evidence)).not.toEqual([]);
  });
});

const EXAMPLES: Record<string, unknown> = {
  driftAlerts: 2,
  bufferSize: 100,
  features: 2,
  consecutiveRuns: 3,
  severity: { worst: 2 },
  cusum: {},
  maxAge: "60d",
  bufferGrowth: 100,
  waitingCost: { hourWorth: 100 },
};
