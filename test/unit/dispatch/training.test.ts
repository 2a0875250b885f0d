import { describe, expect, it } from "vitest";
import { callsForReevaluation } from "../../../src/core/dispatch/effects.ts";
import { computeFlightLimitMs } from "../../../src/core/dispatch/plan.ts";
import type { DispatchInput } from "../../../src/core/dispatch/transition.ts";
import {
  COMMAND,
  FAILED,
  INPUTS,
  LIMITS,
  NOW,
  REJECTED,
  RUN,
  RUNNING,
  seen,
  SENT,
  step,
  SUCCEEDED,
  UNKNOWN,
  WEBHOOK,
} from "./examples.ts";

describe("a training", () => {
  const DAY = LIMITS.lostAfterMs;

  it("records a sign of life four times within the limit, and not at each poll", () => {
    const unchanged = (heardAgoMs: number) =>
      step({ ...RUNNING, lastSeenAt: NOW - heardAgoMs }, { kind: "unchanged" }).patch;
    expect(unchanged(DAY / 4 - 1)).toEqual({});
    expect(unchanged(DAY / 4)).toEqual({ lastSeenAt: NOW });
    expect(step({ ...RUNNING, unreachableSince: NOW - 5 }, { kind: "unchanged" }).patch).toMatchObject({
      unreachableSince: null,
    });
  });

  it("without a sign of life counts as lost after the limit, but not at the first poll after an outage", () => {
    const silent = { ...RUNNING, lastSeenAt: NOW - DAY };
    expect(step(silent, INPUTS["gone"] as DispatchInput).after).toMatchObject({
      state: "running",
      unreachableSince: NOW,
    });
    const since = { ...silent, unreachableSince: NOW - 600_000 };
    expect(step(since, INPUTS["gone"] as DispatchInput).after).toMatchObject({
      state: "failed",
      reason: "lost",
      conclusion: "lost",
      error: "No sign of life for 86400 s. 404",
      endedAt: NOW,
    });
    expect(step({ ...since, lastSeenAt: NOW - DAY + 1 }, INPUTS["gone"] as DispatchInput).after.state).toBe(
      "running",
    );
  });

  it("that cannot be followed is left to an operator instead", () => {
    const context = { trainer: { ...WEBHOOK, reportsOutcomes: false } };
    const silent = { ...SENT, statusUrl: null, lastSeenAt: NOW - DAY, unreachableSince: NOW - 600_000 };
    expect(step(silent, { kind: "searched", trainings: [] }, context)).toMatchObject({
      after: { state: "unknown" },
      next: { kind: "done" },
    });
  });

  it("that is unknown releases its model after the limit", () => {
    const old = { ...UNKNOWN, askedAt: NOW - computeFlightLimitMs(DAY) };
    expect(step(old, { kind: "opened" })).toMatchObject({ next: { kind: "done" } });
    expect(step(old, { kind: "opened" }).effects).toContain("reevaluate_if_blocked");
    expect(step(UNKNOWN, { kind: "opened" }).effects).not.toContain("reevaluate_if_blocked");
  });

  it("counts as ended only once the list of runs shows it, or has had enough time to", () => {
    const end = (requestedAgoMs: number, runs: (typeof RUN)[]) =>
      step({ ...RUNNING, askedAt: NOW - requestedAgoMs }, seen("completed", "success", 1, runs));
    expect(end(1_000, []).after.state).toBe("running");
    expect(end(1_000, []).next).toMatchObject({ kind: "poll", isFresh: true });
    expect(end(300_000, []).after.state).toBe("succeeded");
    const older = { ...RUN, externalId: "6" };
    expect(end(1_000, [older, RUN])).toMatchObject({
      after: { state: "running", externalId: "6", extraRuns: ["7"] },
      next: { kind: "poll", waitMs: 0, isFresh: true },
    });
    expect(end(1_000, [older, RUN]).effects).toEqual(["announce_extra_runs"]);
  });

  it("that failed is polled until its alerts are released, the last time just before", () => {
    const watch = (leftMs: number, endedAgoMs = 200) =>
      step(
        { ...FAILED, endedAt: NOW - endedAgoMs },
        { kind: "gone", message: "" },
        { findAlertsBackAt: () => NOW + leftMs },
      ).next;
    expect(watch(3_600_000)).toEqual({ kind: "poll", waitMs: 20_000, isFresh: true });
    expect(watch(3_600_000, 400_000)).toEqual({ kind: "poll", waitMs: 100_000, isFresh: true });
    expect(watch(10_000)).toEqual({ kind: "poll", waitMs: 8_000, isFresh: true });
    expect(watch(0)).toEqual({ kind: "done" });
    expect(
      step(FAILED, { kind: "opened" }, { trainer: COMMAND, findAlertsBackAt: () => NOW + 9 }).next,
    ).toEqual({
      kind: "done",
    });
  });
});

describe("the end of a training", () => {
  const guarded = { hasBackoff: true };
  const held = { takenAt: NOW, isHeldByTraining: true };
  const free = { takenAt: NOW, isHeldByTraining: false };
  const before = { takenAt: NOW - 900_000, isHeldByTraining: false };

  it.each([
    ["a success that a decision waited for", SUCCEEDED, held, guarded, true],
    ["a success that nothing waited for", SUCCEEDED, before, { hasBackoff: false }, false],
    ["a failure that no decision has seen", { ...FAILED, endedAt: NOW - 200 }, before, guarded, true],
    ["a failure that a later decision has seen", { ...FAILED, endedAt: NOW - 100_000 }, free, guarded, false],
    ["a failure, without a backoff", FAILED, before, { hasBackoff: false }, false],
    ["a failure that a decision waited for, without a backoff", FAILED, held, { hasBackoff: false }, true],
    ["a refusal that a decision waited for", REJECTED, held, guarded, true],
    ["a refusal that nothing waited for", REJECTED, before, guarded, false],
  ])("%s calls for a re-evaluation as it should", (_, dispatch, latest, policy, expected) => {
    expect(callsForReevaluation(dispatch, latest, policy)).toBe(expected);
  });
});
