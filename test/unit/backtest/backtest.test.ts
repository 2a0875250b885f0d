import { describe, expect, it } from "vitest";
import { renderBacktest } from "../../../src/core/backtest/report.ts";
import { backtest, check, DAY, day, inputOf, policyOf, quiet, recorded, rows, training } from "./world.ts";

const daysOf = (firings: readonly { at: number }[]): number[] => firings.map(({ at }) => (at - day(0)) / DAY);

describe("a replay", () => {
  it("fires at the first look at which the condition holds, and once for an alert", () => {
    const { inForce } = backtest(inputOf({ checks: [check(3)], arrivals: [rows(1, 60), rows(5, 60)] }));
    expect(daysOf(inForce.firings)).toEqual([5]);
    expect(inForce.firings[0]?.why).toContain("drift in ks (0.1, threshold 0.05)");
  });

  it("decides by itself when time alone changes the answer, whatever the looks are", () => {
    const inForce = policyOf({ when: [{ driftAlerts: 1 }, { bufferSize: 1 }], guards: { cooldown: "36h" } });
    const { inForce: replayed } = backtest(
      inputOf(
        { checks: [check(1), check(2)], arrivals: [rows(0, 10)] },
        { inForce, cadence: { everyMs: 10 * DAY } },
      ),
    );
    // Nobody looks on day 1 or 2: on day 10 both alerts are too old for nothing, and one training answers both.
    expect(daysOf(replayed.firings)).toEqual([]);
    const daily = backtest(inputOf({ checks: [check(1), check(2)], arrivals: [rows(0, 10)] }, { inForce }));
    // The cooldown of the training of day 1 ends on day 2.5, between two looks.
    expect(daysOf(daily.inForce.firings)).toEqual([1, 2.5]);
  });

  it("holds a training while another one is under way, for as long as trainings usually take", () => {
    const settings = {
      isMock: false,
      usualSeconds: (3 * DAY) / 1000,
      flightLimitMs: 9 * DAY,
      expectDriftRunEvery: null,
    };
    const { inForce } = backtest(
      inputOf({ checks: [check(1), check(2)], arrivals: [rows(0, 100)] }, { settings }),
    );
    expect(daysOf(inForce.firings)).toEqual([1, 4]);
    expect(inForce.firings.map(({ hours }) => hours)).toEqual([72, 72]);
  });

  it("uses up a budget, and has room again when a training leaves the period", () => {
    const inForce = policyOf({ when: [{ driftAlerts: 1 }], guards: { budget: { atMost: 1, per: "5d" } } });
    const { inForce: replayed } = backtest(
      inputOf({ checks: [check(1), check(3)], arrivals: [rows(0, 100)] }, { inForce }),
    );
    expect(daysOf(replayed.firings)).toEqual([1, 6]);
  });

  it("keeps to a snooze that is on record, and to its early end", () => {
    const snooze = { from: day(0), to: day(4), until: day(20), by: "ops", reason: "Holiday" };
    const { inForce } = backtest(
      inputOf({ checks: [check(2)], arrivals: [rows(0, 100)], snoozes: [snooze], events: [day(4)] }),
    );
    expect(daysOf(inForce.firings)).toEqual([4]);
  });

  it("takes the recorded course of a training that is on record: its failure is retried after the backoff", () => {
    const decision = recorded(7, 2, { decision: "trigger", codes: ["drift_detected"] });
    const failure = training(7, 2, { result: "failed", endedAt: day(2) + 7_200_000, seconds: 7_200 });
    const result = backtest(
      inputOf(
        { checks: [check(2)], arrivals: [rows(0, 100)], decisions: [decision], trainings: [failure] },
        { cadence: "recorded" },
      ),
    );
    // The backoff of an hour ends three hours after the request.
    expect(
      result.inForce.firings.map(({ at, recordedId, hours }) => [at - day(2), recordedId, hours]),
    ).toEqual([
      [0, 7, 2],
      [3 * 3_600_000, null, 1],
    ]);
    expect(result.reproduction).toEqual({ recorded: 1, reproduced: 1, exceptions: [] });
  });
});

describe("a replay of a model with a longer past", () => {
  it("knows the last training however long ago it was, also if its decision is not among those that are read", () => {
    const inForce = policyOf({ when: [{ maxAge: "200d" }, { bufferSize: 1 }] });
    const known = { arrivals: [rows(-300, 10)], firstDecisionAt: day(-400) };
    const { inForce: old } = backtest(
      inputOf({ ...known, trainings: [training(3, -190, { bufferSize: 500 })] }, { inForce }),
    );
    expect(old.firings.map(({ at }) => at)).toEqual([day(10) + 3_600_000]);
    const { inForce: never } = backtest(inputOf(known, { inForce }));
    expect(daysOf(never.firings)).toEqual([0]);
  });

  it("waits for a training that was under way when the period began", () => {
    const running = training(3, -1, { bufferSize: 500, endedAt: day(2) });
    const { inForce } = backtest(
      inputOf({ checks: [check(1)], arrivals: [rows(0, 100)], trainings: [running] }),
    );
    expect(daysOf(inForce.firings)).toEqual([2]);
  });

  it("that would take a million steps is refused", () => {
    expect(() => backtest(inputOf({}, { cadence: { everyMs: 1_000 } }))).toThrow("choose a longer --every");
  });
});

describe("a candidate", () => {
  const known = { checks: [check(3), quiet(10), check(20)], arrivals: [rows(0, 60), rows(12, 60)] };

  it("gains what its own threshold lets through, and the difference names the check of the other", () => {
    const candidate = policyOf({ when: [{ driftAlerts: 1 }, { bufferSize: 50 }] });
    const { gained, lost } = backtest(inputOf(known, { candidate }));
    expect(daysOf(gained)).toEqual([3]);
    expect(gained[0]).toMatchObject({
      checks: ["bufferSize"],
      because: expect.stringContaining("40 rows short") as string,
    });
    expect(lost).toEqual([]);
  });

  it("loses what it holds back, and says so", () => {
    const candidate = policyOf({ when: [{ driftAlerts: 1 }, { bufferSize: 500 }] });
    const { gained, lost } = backtest(inputOf(known, { candidate }));
    expect(gained).toEqual([]);
    expect(lost).toMatchObject([{ at: day(20), checks: ["bufferSize"], otherAt: null }]);
  });

  it("that trains earlier for the same alert is a gain and a loss, each with the date of the other", () => {
    const candidate = policyOf({ when: [{ driftAlerts: 1 }, { bufferSize: 50 }] });
    const later = { checks: [check(3)], arrivals: [rows(0, 60), rows(5, 60)] };
    const { gained, lost } = backtest(inputOf(later, { candidate }));
    expect(gained).toMatchObject([{ at: day(3), otherAt: day(5) }]);
    expect(lost).toMatchObject([{ at: day(5), otherAt: day(3), checks: ["alreadyActedOn"] }]);
  });
});

describe("a replay beside a record", () => {
  it("decides daily before the first recorded decision, and says what follows from that", () => {
    const decisions = [recorded(1, 20, { decision: "trigger", codes: ["drift_detected"] })];
    const result = backtest(
      inputOf({ checks: [check(16)], arrivals: [rows(0, 100)], decisions }, { cadence: "recorded" }),
    );
    expect(daysOf(result.inForce.firings)).toEqual([16]);
    expect(result.reproduction?.exceptions).toMatchObject([
      { id: 1, because: "the replay acted before the first recorded decision" },
    ]);
    expect(result.unknowns.map(({ code }) => code)).toContain("decisions_begin_late");
  });

  it("does not use an approval again that was used before the period", () => {
    const approval = {
      decisionId: 1,
      requestedAt: day(-2),
      expiresAt: day(20),
      answer: { state: "approved" as const, at: day(-2), by: "ops", reason: "Sound" },
      settled: { state: "used" as const, at: day(-1) },
    };
    const inForce = policyOf({ when: [{ driftAlerts: 1 }], guards: { approval: "24h" } });
    const known = {
      checks: [check(1)],
      arrivals: [rows(0, 100)],
      decisions: [recorded(5, 1, { codes: ["awaiting_approval"] })],
    };
    const { reproduction } = backtest(
      inputOf({ ...known, approvals: [approval] }, { inForce, cadence: "recorded" }),
    );
    expect(reproduction).toMatchObject({ recorded: 1, exceptions: [] });
  });

  it("counts rows that a decision saw since the last training, although they were deleted since", () => {
    const buffer = { unit: "rows", isSinceTraining: true };
    const decisions = [recorded(1, 3, { bufferSize: 500, decision: "trigger", codes: ["drift_detected"] })];
    const result = backtest(
      inputOf(
        { checks: [check(-20), check(3)], arrivals: [rows(2, 10)], decisions, buffer },
        { cadence: "recorded" },
      ),
    );
    expect(result.reproduction).toMatchObject({ reproduced: 1 });
    expect(result.unknowns.map(({ code }) => code)).toContain("rows_deleted");
  });

  it("counts rows since a training only after the decision that started it, also if both have the same time", () => {
    const decision = recorded(9, 1, { decision: "trigger", codes: ["volume_reached"] });
    const mock = training(9, 1, { endedAt: day(1), seconds: null });
    const { inForce } = backtest(
      inputOf(
        {
          buffer: { unit: "rows", isSinceTraining: true },
          arrivals: [rows(0.5, 100), rows(2, 10)],
          decisions: [decision],
          trainings: [mock],
        },
        {
          inForce: policyOf({ when: [{ bufferSize: 100 }] }),
          settings: { isMock: true, usualSeconds: null, flightLimitMs: DAY, expectDriftRunEvery: null },
        },
      ),
    );
    // Ten rows have arrived since, and a hundred are called for.
    expect(daysOf(inForce.firings)).toEqual([1]);
  });
});

describe("what trainings come to", () => {
  it("is a rate over the whole period if rows have been there all the while", () => {
    const inForce = policyOf({ when: [{ bufferSize: 100 }], guards: { cooldown: "7d" } });
    const { inForce: replayed } = backtest(inputOf({ arrivals: [{ at: null, rows: 500 }] }, { inForce }));
    expect(replayed.measures.perMonth).toBeCloseTo(replayed.firings.length * (30.4375 / 30), 9);
  });

  it("counts no training that was refused, and it answers nothing", () => {
    const decision = recorded(7, 3, { decision: "trigger", codes: ["drift_detected"] });
    const refused = training(7, 3, { result: "refused", endedAt: null, seconds: null });
    const known = {
      checks: [check(2), quiet(6)],
      arrivals: [rows(0, 100)],
      decisions: [decision],
      trainings: [refused],
    };
    const guards = { alreadyActedOn: "off", retryBackoff: "off" };
    const inForce = policyOf({
      when: [{ driftAlerts: { atLeast: 1, within: "36h" } }, { bufferSize: 100 }],
      guards,
    });
    const from = day(2) + 1;
    const { inForce: replayed } = backtest(inputOf({ ...known, from }, { inForce, cadence: "recorded" }));
    expect(replayed.firings).toMatchObject([{ at: day(3), result: "refused" }]);
    expect(replayed.measures).toMatchObject({ trainings: 0, trainingHours: 0 });
    expect(replayed.measures.unansweredDays).toBeGreaterThan(3.9);
  });

  it("is a rate over the time of which anything is known", () => {
    const known = { checks: [check(20), quiet(25)], arrivals: [rows(20, 100)] };
    const { inForce, knownFrom } = backtest(inputOf(known));
    expect(knownFrom).toBe(day(20));
    expect(inForce.measures.perMonth).toBeCloseTo(30.4375 / 10, 9);
  });

  it("counts the days of drift that no training had followed, and the wait of rows", () => {
    const { inForce } = backtest(
      inputOf({
        checks: [check(2), check(3), quiet(20), check(24), quiet(26)],
        arrivals: [rows(0, 60), rows(4, 40), rows(28, 100)],
      }),
    );
    // Days 2 to 4 until the training, then 24, which the training of that day answers at once.
    expect(daysOf(inForce.firings)).toEqual([4, 24]);
    expect(inForce.measures).toMatchObject({ trainings: 2, unansweredDays: 2, trainingHours: 2 });
    // 60 rows wait 4 days, 40 not at all, 100 two days until the end.
    expect(inForce.measures.meanWaitDays).toBeCloseTo((60 * 4 + 100 * 2) / 200, 9);
    expect(inForce.measures.perMonth).toBeCloseTo(2 * (30.4375 / 30), 9);
  });

  it("does not know the hours of trainings that only show their request", () => {
    const settings = { isMock: true, usualSeconds: null, flightLimitMs: DAY, expectDriftRunEvery: null };
    const { inForce } = backtest(inputOf({ checks: [check(2)], arrivals: [rows(0, 100)] }, { settings }));
    expect(inForce.measures).toMatchObject({ trainings: 1, trainingHours: null });
  });
});

describe("what cannot be known", () => {
  const codesOf = (input: ReturnType<typeof inputOf>): string[] =>
    backtest(input).unknowns.map(({ code }) => code);

  it("includes rows that were deleted since a decision saw them", () => {
    const decisions = [recorded(1, 5, { codes: [], bufferSize: 500 })];
    const input = inputOf({ checks: [check(-8), check(3)], arrivals: [rows(0, 60)], decisions });
    expect(codesOf(input)).toEqual(["rows_deleted"]);
    // The recorded size is used: 500 rows are enough, 60 are not.
    expect(backtest(input).inForce.firings).toHaveLength(1);
  });

  it("includes checks that begin late, that are there twice, and a clock that goes backwards", () => {
    const twice = quiet(9);
    const checks = [quiet(5), twice, { ...twice }, quiet(8)].map((one, index) => ({
      ...one,
      names: [index === 2 ? "2@x" : `${index + 1}@x`],
    }));
    expect(codesOf(inputOf({ checks, arrivals: [rows(0, 1)] }))).toEqual([
      "checks_begin_late",
      "duplicate_checks",
      "clock_backwards",
    ]);
  });

  it("includes rows whose arrival is unknown, and trainings whose length is", () => {
    const settings = { isMock: false, usualSeconds: null, flightLimitMs: DAY, expectDriftRunEvery: null };
    const input = inputOf({ checks: [check(-8)], arrivals: [{ at: null, rows: 3 }] }, { settings });
    expect(codesOf(input)).toEqual(["arrival_unknown", "duration_unknown"]);
  });

  it("includes the days before the first recorded decision", () => {
    const decisions = [recorded(1, 20, { codes: [], bufferSize: 0 })];
    const input = inputOf({ checks: [check(-8), quiet(3)], decisions }, { cadence: "recorded" });
    expect(codesOf(input)).toContain("decisions_begin_late");
  });
});

describe("the report of a backtest", () => {
  it("fits 80 columns and has every training, difference and doubt", () => {
    const candidate = policyOf({ when: [{ driftAlerts: 1 }, { bufferSize: 50 }] });
    const result = backtest(
      inputOf({ checks: [check(3)], arrivals: [rows(0, 60), rows(5, 60)] }, { candidate }),
    );
    const lines = renderBacktest(result, { model: "films", cadence: { everyMs: DAY } });
    expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(80);
    const text = lines.join("\n");
    expect(text).toContain("2026-09-04 00:00 UTC");
    expect(text).toContain("[bufferSize]");
    expect(text).toContain("The checks begin on");
  });
});
