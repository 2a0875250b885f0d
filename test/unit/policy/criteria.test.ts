import { describe, expect, it } from "vitest";
import { Evidence } from "../../../src/core/evidence.ts";
import { judge } from "../../../src/core/judge.ts";
import { holds, judgeWith, policyFrom, TAKEN_AT, withChecks } from "./tables.ts";

const DAY = 86_400_000;
const WEEK = 7 * DAY;

const alert = { triggered: true };

describe("recentDriftChecks", () => {
  it.each([
    ["no check", [], false],
    ["a check at the edge of the window", [{ ago: WEEK }], false],
    ["a check one millisecond younger", [{ ago: WEEK - 1 }], true],
    ["a check just now", [{}], true],
  ])("with %s", (_, checks, expected) => {
    expect(holds({ recentDriftChecks: "7d" }, checks)).toBe(expected);
  });
});

describe("bufferSize and bufferGrowth", () => {
  it.each([
    [{ bufferSize: 100 }, { size: 99 }, false],
    [{ bufferSize: 100 }, { size: 100 }, true],
    [{ bufferSize: 0 }, { size: 0 }, true],
    [{ bufferGrowth: 100 }, { size: 500, grown: 99 }, false],
    [{ bufferGrowth: 100 }, { size: 500, grown: 100 }, true],
    [{ bufferGrowth: 1 }, { size: 500, grown: null }, false],
  ])("%j with %j", (when, buffer, expected) => {
    expect(holds(when, [], { buffer })).toBe(expected);
  });
});

describe("maxAge", () => {
  const succeeded = (ago: number) => ({
    trainings: {
      lastSucceeded: { decisionId: 1, at: new Date(TAKEN_AT - ago).toISOString(), bufferSize: 1 },
    },
  });

  it.each([
    ["a success exactly so long ago", succeeded(60 * DAY), true],
    ["a success one millisecond younger", succeeded(60 * DAY - 1), false],
    [
      "no success, decided about so long ago",
      { trainings: { firstDecisionAt: new Date(TAKEN_AT - 60 * DAY).toISOString() } },
      true,
    ],
    ["no success and no decision", {}, false],
  ])("with %s", (_, changes, expected) => {
    expect(holds({ maxAge: "60d" }, [], changes)).toBe(expected);
  });

  it("says when the age is reached", () => {
    const verdict = judgeWith(policyFrom({ when: { maxAge: "60d" } }), withChecks([], succeeded(59 * DAY)));
    expect(verdict.nextLookAt).toBe(new Date(TAKEN_AT + DAY).toISOString());
  });
});

describe("waitingCost", () => {
  const waiting = (rows: number, rowDays: number, trainings: object = {}) => ({
    buffer: { size: 100, waiting: { rows, rowDays } },
    trainings,
  });
  const two = {
    durations: [
      { rows: 100, seconds: 7_200 },
      { rows: 50, seconds: 3_600 },
    ],
  };

  it.each([
    ["nothing known", { buffer: { waiting: null } }, false],
    ["the cost of an hour exactly reached", waiting(1, 10), true],
    ["the cost just missed", waiting(1, 9.999), false],
    [
      "a training of two hours, by the line through past ones",
      waiting(1, 10, { ...two, nextRows: 100 }),
      false,
    ],
    ["twice the cost for it", waiting(1, 20, { ...two, nextRows: 100 }), true],
    ["the quickest training at least", waiting(1, 9.999, { ...two, nextRows: 0 }), false],
  ])("with %s", (_, changes, expected) => {
    expect(holds({ waitingCost: 10 }, [], changes)).toBe(expected);
  });

  it("says when the rows will have waited long enough", () => {
    const verdict = judgeWith(policyFrom({ when: { waitingCost: 10 } }), withChecks([], waiting(4, 8)));
    expect(verdict.nextLookAt).toBe(new Date(TAKEN_AT + DAY / 2).toISOString());
  });
});

describe("the reason of a trigger", () => {
  const old = {
    trainings: { firstDecisionAt: new Date(TAKEN_AT - 90 * DAY).toISOString() },
    buffer: { size: 100 },
  };

  it.each([
    [
      "drift, if it was part of it",
      { any: [{ bufferSize: 1 }, { maxAge: "60d" }, { driftAlerts: 1 }] },
      [alert],
      "drift_detected",
    ],
    [
      "the age, before the amount of data",
      { any: [{ bufferSize: 1 }, { maxAge: "60d" }, { driftAlerts: 1 }] },
      [],
      "max_age",
    ],
    ["the amount of data alone", [{ bufferSize: 100 }], [], "buffer_full"],
    [
      "no criterion that only sees to it that checks exist",
      [{ recentDriftChecks: "7d" }, { maxAge: "60d" }],
      [{}],
      "max_age",
    ],
    [
      "not an alert that a training was already for",
      { any: [{ driftAlerts: 1 }, { maxAge: "60d" }] },
      [{ ...alert, answeredBy: 3 }],
      "max_age",
    ],
  ])("is %s", (_, when, checks, reason) => {
    expect(judgeWith(policyFrom({ when }), withChecks(checks, old))).toMatchObject({
      decision: "trigger",
      reason,
    });
  });
});

describe("a combination", () => {
  const [yes, no] = [{ bufferSize: 1 }, { bufferSize: 2 }];

  it.each([
    [{ all: [yes, no] }, false],
    [{ any: [no, yes] }, true],
    [{ atLeast: 2, of: [yes, no, yes] }, true],
    [{ atLeast: 2, of: [yes, no, no] }, false],
    [[yes, { any: [no, { all: [yes, yes] }] }], true],
    [{ bufferSize: 1, driftAlerts: 1 }, false],
  ])("%j", (when, expected) => {
    expect(judgeWith(policyFrom({ when }), withChecks([])).decision === "trigger").toBe(expected);
  });

  it("names the failed criteria of no branch that holds", () => {
    const when = [{ any: [{ driftAlerts: 1 }, yes] }, { features: 1 }];
    expect(judgeWith(policyFrom({ when }), withChecks([])).failed).toEqual(["too_few_features"]);
  });
});

describe("evidence of an earlier version", () => {
  it("is judged by its counts", () => {
    const { weighed: _, ...old } = withChecks([alert, alert]);
    const evidence = Evidence.parse({ ...old, alerts: { ...old.alerts, unanswered: 1 } });
    expect(judge(evidence, policyFrom({ when: { driftAlerts: 1 } })).decision).toBe("trigger");
    expect(judge(evidence, policyFrom({ when: { driftAlerts: 2 } })).reason).toBe("already_acted_on");
  });
});
