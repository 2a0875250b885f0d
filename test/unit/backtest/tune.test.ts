import { describe, expect, it } from "vitest";
import { listThresholds, scale, withThresholds } from "../../../src/core/backtest/thresholds.ts";
import { renderTuning } from "../../../src/core/backtest/tune-report.ts";
import { type Tuning, tuneInSteps } from "../../../src/core/backtest/tune.ts";
import type { Fault } from "../../../src/core/fields.ts";
import { check, drain, inputOf, policyOf, quiet, rows } from "./world.ts";

const POLICY = policyOf({
  when: [{ any: [{ driftAlerts: 2 }, { driftAlerts: { atLeast: 1, within: "1d" } }] }, { bufferSize: 100 }],
  guards: { cooldown: "3d", alreadyActedOn: "off" },
});

function tune(known: Parameters<typeof inputOf>[0], broughtNothing: number[] = []): Tuning {
  return drain(tuneInSteps({ ...inputOf(known), broughtNothing: new Set(broughtNothing) }));
}

describe("thresholds", () => {
  it("are the figures and the spans of every criterion and guard, by their places", () => {
    const places = Object.fromEntries(listThresholds(POLICY).map(({ path, value }) => [path, value]));
    expect(places).toMatchObject({
      "driftAlerts.atLeast": 2,
      "driftAlerts#2.atLeast": 1,
      "driftAlerts#2.within": "1d",
      "bufferSize.atLeast": 100,
      "guards.cooldown.for": "3d",
    });
    expect(Object.keys(places).some((path) => path.startsWith("guards.alreadyActedOn"))).toBe(false);
  });

  it("can each be changed alone, and nothing else changes", () => {
    const faults: Fault[] = [];
    const changed = withThresholds(POLICY, new Map([["driftAlerts#2.within", "2d"]]), faults);
    expect(faults).toEqual([]);
    const expected = listThresholds(POLICY).map(({ path, value }) => [
      path,
      path === "driftAlerts#2.within" ? "2d" : value,
    ]);
    expect(listThresholds(changed).map(({ path, value }) => [path, value])).toEqual(expected);
    expect(changed.guards["alreadyActedOn"]).toBe("off");
  });

  it("that are wrong or unknown are faults", () => {
    const faults: Fault[] = [];
    withThresholds(
      POLICY,
      new Map<string, number | string>([
        ["bufferSize.atLeast", -1],
        ["guards.budget.atMost", 1],
      ]),
      faults,
    );
    expect(faults.map(({ path }) => path.join("."))).toEqual([
      "guards.budget.atMost",
      expect.stringContaining("bufferSize.atLeast") as string,
    ]);
  });

  it("are scaled to figures that a policy may have", () => {
    expect(scale({ path: "", value: 1 }, 0.5)).toBe(1);
    expect(scale({ path: "", value: 50_000 }, 1.5)).toBe(75_000);
    expect(scale({ path: "", value: 0.05 }, 0.75)).toBe(0.0375);
    expect(scale({ path: "", value: "7d" }, 0.5)).toBe("84h");
  });
});

describe("a tuning", () => {
  const known = {
    checks: [check(2), check(9), check(16), quiet(18), check(23)],
    arrivals: [rows(0, 120), rows(8, 60), rows(15, 60)],
  };

  it("has the policy in force once, and no two trials that are the same", () => {
    const { trials } = tune(known);
    const keys = trials.map(({ changes }) => JSON.stringify(changes));
    expect(new Set(keys).size).toBe(keys.length);
    expect(trials.filter(({ changes }) => changes.length === 0)).toHaveLength(1);
  });

  it("marks as its front exactly the trials that no other one beats in both", () => {
    const { trials } = tune(known);
    const front = trials.filter(({ isOnFront }) => isOnFront);
    expect(front.length).toBeGreaterThan(1);
    const beats = (a: (typeof trials)[number], b: (typeof trials)[number]): boolean =>
      a.measures.perMonth <= b.measures.perMonth &&
      a.measures.unansweredDays <= b.measures.unansweredDays &&
      (a.measures.perMonth < b.measures.perMonth || a.measures.unansweredDays < b.measures.unansweredDays);
    for (const trial of front) expect(trials.some((other) => beats(other, trial))).toBe(false);
    for (const trial of trials.filter(({ isOnFront }) => !isOnFront))
      expect(front.some((other) => beats(other, trial) || isSame(other, trial))).toBe(true);
  });

  it("says what its replays cannot know", () => {
    expect(tune(known).unknowns.map(({ code }) => code)).toEqual(["checks_begin_late"]);
  });

  it("varies only thresholds that change the result", () => {
    const { varied } = tune(known);
    expect(varied.map(({ path }) => path)).toContain("bufferSize.atLeast");
    expect(tune({ checks: [quiet(2)], arrivals: [] }).varied).toEqual([]);
  });
});

function isSame(a: Tuning["trials"][number], b: Tuning["trials"][number]): boolean {
  return (
    a.measures.perMonth === b.measures.perMonth && a.measures.unansweredDays === b.measures.unansweredDays
  );
}

describe("the report of a tuning", () => {
  it("fits 80 columns, and names a command that compares a policy of the same model", () => {
    const lines = renderTuning(tune({ checks: [check(3)], arrivals: [rows(0, 60), rows(5, 60)] }), "films");
    expect(lines.filter((line) => line.length > 80)).toEqual([]);
    expect(lines).toContain("    npx retrigger backtest --model films --policy FILE");
  });
});
