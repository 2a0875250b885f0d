import { describe, expect, it } from "vitest";
import { judge } from "../../../src/core/judge.ts";
import { holds, judgeWith, policyFrom, TAKEN_AT, withChecks } from "./tables.ts";

const DAY = 86_400_000;
const WEEK = 7 * DAY;
const alert = { triggered: true };

describe("driftAlerts", () => {
  it.each([
    ["no check", [], false],
    ["a check without an alert", [{}], false],
    ["one alert too few", [alert], false],
    ["exactly as many as required", [alert, alert], true],
    ["one of them at the edge of the window", [alert, { ...alert, ago: WEEK }], false],
    ["one of them one millisecond younger", [alert, { ...alert, ago: WEEK - 1 }], true],
    ["alerts without scores and thresholds", [alert, { ...alert, score: null, threshold: null }], true],
  ])("with %s", (_, checks, expected) => {
    expect(holds({ driftAlerts: 2 }, checks)).toBe(expected);
  });

  it("counts alerts beyond the bounded list", () => {
    const policy = policyFrom({ when: { driftAlerts: 1_000 } });
    const listed = withChecks(
      Array.from({ length: 1_000 }, (_, index) => ({ ...alert, answeredBy: index < 500 ? 3 : null })),
    );
    const judgeWithUnanswered = (unanswered: number) =>
      judge(
        {
          ...listed,
          checks: { ...listed.checks, triggered: 1_500 },
          alerts: { ...listed.alerts, unanswered },
        },
        policy,
      ).reason;
    expect(judgeWithUnanswered(1_000)).toBe("drift_detected");
    expect(judgeWithUnanswered(999)).toBe("already_acted_on");
  });
});

describe("features", () => {
  const on = (feature: string | null, ago = 0) => ({ ...alert, feature, ago });

  it.each([
    ["five alerts on one feature", { features: 2 }, Array(5).fill(on("ks")), false],
    ["alerts on two features", { features: 2 }, [on("ks"), on("mean")], true],
    ["one of them at the edge of the window", { features: 2 }, [on("ks"), on("mean", WEEK)], false],
    ["alerts without a feature", { features: 1 }, [on(null), on(null)], false],
    [
      "one named and one other feature",
      { features: { atLeast: 2, of: ["ks", "std"] } },
      [on("ks"), on("mean")],
      false,
    ],
    ["both named features", { features: { atLeast: 2, of: ["ks", "std"] } }, [on("ks"), on("std")], true],
    [
      "weights just reached",
      { features: { atLeast: 2.5, weights: { ks: 2, mean: 0.5 } } },
      [on("ks"), on("mean")],
      true,
    ],
    [
      "weights just missed",
      { features: { atLeast: 2.5, weights: { ks: 2, mean: 0.5 } } },
      [on("ks"), on("std")],
      false,
    ],
    ["a check without an alert", { features: 1 }, [{ feature: "ks" }], false],
  ])("with %s", (_, when, checks, expected) => {
    expect(holds(when, checks)).toBe(expected);
  });
});

describe("consecutiveRuns", () => {
  const at = (ago: number, triggered = true) => ({ ago, triggered });

  it.each([
    ["no check", [], false],
    ["two checks of one run", [at(0), at(60_000)], false],
    ["two runs, one millisecond more than a minute apart", [at(0), at(60_001)], true],
    ["one run of many checks, each near the next", [at(0), at(50_000), at(100_000), at(150_000)], false],
    ["a run without an alert between them", [at(0), at(DAY, false), at(2 * DAY)], false],
    ["a newest run without an alert", [at(0, false), at(DAY), at(2 * DAY)], false],
    [
      "runs in which one of the checks has an alert",
      [at(0, false), at(1), at(DAY, false), at(DAY + 1)],
      true,
    ],
    ["the earlier run at the edge of the window", [at(0), at(90 * DAY)], false],
  ])("with %s", (_, checks, expected) => {
    expect(holds({ consecutiveRuns: 2 }, checks)).toBe(expected);
  });
});

describe("severity", () => {
  const scored = (score: number | null, threshold: number | null = 0.5) => ({ score, threshold });

  it.each([
    ["no check", { severity: 2 }, [], false],
    ["the worst exactly at the limit", { severity: 2 }, [scored(1), scored(0)], true],
    ["the worst just below", { severity: 2 }, [scored(0.999)], false],
    ["unknown scores and thresholds", { severity: 0.1 }, [scored(null), scored(1, null)], false],
    ["thresholds of 0 and below", { severity: 0.1 }, [scored(1, 0), scored(1, -1)], false],
    ["the mean exactly at the limit", { severity: { mean: 2 } }, [scored(1.5), scored(0.5)], true],
    ["the mean just below", { severity: { mean: 2 } }, [scored(1.5), scored(0.499)], false],
    ["a mean without unknown scores", { severity: { mean: 2 } }, [scored(1), scored(null)], true],
    ["a score at the edge of the window", { severity: 2 }, [{ ...scored(9), ago: WEEK }], false],
  ])("with %s", (_, when, checks, expected) => {
    expect(holds(when, checks)).toBe(expected);
  });

  it("says when the mean rises because low scores leave the window", () => {
    const checks = [scored(2), { ...scored(0), ago: WEEK - 5_000 }];
    const verdict = judgeWith(policyFrom({ when: { severity: { mean: 3 } } }), withChecks(checks));
    expect(verdict.nextLookAt).toBe(new Date(TAKEN_AT + 5_000).toISOString());
  });
});

describe("quantile", () => {
  const series = (...scores: (number | null)[]) =>
    scores.map((score, index) => ({ score, feature: "ks", ago: index }));
  const when = { quantile: { q: 0.5, last: 3 } };

  it.each([
    ["a score above the median of the last three", series(5, 4, 1, 9), true],
    ["a score equal to it", series(4, 4, 1, 9), false],
    ["too few earlier scores", series(5, 4, 1), false],
    ["unknown scores, which do not count", series(5, null, 4, 1, 9), true],
    [
      "scores of different features",
      series(5, 4, 1, 9).map((check, index) => ({ ...check, feature: `f${index}` })),
      false,
    ],
    ["an earlier score that was unusual, within the time", series(0, 5, 4, 1, 9), true],
    [
      "an unusual score at the edge of the window",
      series(5, 4, 1, 9).map((check) => ({ ...check, ago: check.ago + WEEK })),
      false,
    ],
    [
      "earlier scores out of reach",
      series(5, 4, 1, 9).map((check) => ({ ...check, ago: check.ago * 200 * DAY })),
      false,
    ],
  ])("with %s", (_, checks, expected) => {
    expect(holds(when, checks)).toBe(expected);
  });
});

describe("cusum", () => {
  /** Ratios of score and threshold, oldest first. */
  const series = (...ratios: (number | null)[]) =>
    ratios.toReversed().map((score, index) => ({ score, threshold: 1, feature: "ks", ago: index }));
  const when = { cusum: { atLeast: 2, slack: 0.5 } };

  it.each([
    ["no check", [], false],
    ["a sum exactly at the limit", series(2.5, 2.5), true],
    ["a sum just below", series(2.5, 2.49), false],
    ["a sum that low scores have not let fall below 0", series(0, 0, 0, 3.5), true],
    ["a sum that a low score has lowered", series(3, 0.5, 1.5), false],
    [
      "sums of two features, which do not add up",
      [...series(2.5), { score: 2.5, threshold: 1, feature: "mean" }],
      false,
    ],
    ["unknown scores between", series(2.5, null, 2.5), true],
    ["half of it at the edge of the window", [...series(2.5), { ...series(2.5)[0], ago: 30 * DAY }], false],
  ])("with %s", (_, checks, expected) => {
    expect(holds(when, checks)).toBe(expected);
  });
});

describe("sampleFloor", () => {
  it.each([
    [199, false],
    [200, true],
    [null, false],
  ])("with a check on %s samples", (samples, expected) => {
    expect(holds({ sampleFloor: 200 }, [{ samples }])).toBe(expected);
  });

  it.each([
    { recentDriftChecks: "7d" },
    { driftAlerts: 1 },
    { features: 1 },
    { consecutiveRuns: 1 },
    { severity: 1 },
    { cusum: 1 },
    { quantile: { q: 0.5, last: 2 } },
  ])("makes %j ignore checks on too few samples", (criterion) => {
    const check = { ...alert, feature: "ks", threshold: 1 };
    const scores = [9, 1, 1].map((score, index) => ({ ...check, score, ago: index * 100_000 }));
    const policy = policyFrom({ when: [criterion, { sampleFloor: 100 }, { maxAge: "1m" }] });
    const passes = (samples: number) =>
      judgeWith(policy, withChecks(scores.map((own) => ({ ...own, samples })))).criteria[0]?.passed;
    expect(passes(100)).toBe(true);
    expect(passes(99)).toBe(false);
  });
});
