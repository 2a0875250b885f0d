import { describe, expect, it } from "vitest";
import type { DispatchInput } from "../../../src/core/dispatch/transition.ts";
import { ASKED, INPUTS, NOW, PENDING, REJECTED, SENT, step } from "./examples.ts";

describe("a request", () => {
  it.each([
    ["is sent at once", PENDING, { kind: "request", waitMs: 0 }],
    ["is searched for if it may have been sent", ASKED, { kind: "search", waitMs: 0 }],
    ["is followed once it was accepted", SENT, { kind: "poll", waitMs: 0 }],
    [
      "is searched for if its training is not identified",
      { ...SENT, externalId: null },
      { kind: "search", waitMs: 0 },
    ],
    ["is finished once it was refused", REJECTED, { kind: "done" }],
  ])("%s", (_, dispatch, next) => {
    expect(step(dispatch, { kind: "opened" }).next).toEqual(next);
  });

  it("that never arrived is sent again, after pauses that grow to half a minute", () => {
    const pause = (ageMs: number) =>
      step({ ...ASKED, createdAt: NOW - ageMs }, INPUTS["not sent"] as DispatchInput);
    expect(pause(10).next).toEqual({ kind: "request", waitMs: 250 });
    expect(pause(10).after.askedAt).toBeNull();
    expect(pause(5_000).next).toEqual({ kind: "request", waitMs: 5_000 });
    expect(pause(900_000).next).toEqual({ kind: "request", waitMs: 30_000 });
  });

  it("that was rate-limited waits as long as the trainer says, or a minute", () => {
    const limited = (waitMs: number | null) =>
      step(ASKED, { kind: "rate_limited", askedAt: ASKED.askedAt, message: "", waitMs }).next;
    expect(limited(5_000)).toEqual({ kind: "request", waitMs: 5_000 });
    expect(limited(null)).toEqual({ kind: "request", waitMs: 60_000 });
  });

  it("is not reset by the late failure of an earlier one", () => {
    for (const kind of ["not_sent", "refused", "response_lost"] as const) {
      const late = step(ASKED, { kind, askedAt: NOW - 999_999, message: "late" });
      expect(late.patch).toEqual({});
    }
  });

  it("whose response is lost is searched for until the limit, and then left to an operator", () => {
    const search = (requestedAgoMs: number) =>
      step({ ...ASKED, askedAt: NOW - requestedAgoMs, error: "reset" }, { kind: "searched", trainings: [] });
    expect(search(299_999).after.state).toBe("pending");
    expect(search(100_000).next).toEqual({ kind: "search", waitMs: 50_000 });
    expect(search(299_500).next).toEqual({ kind: "search", waitMs: 1_000 });
    expect(search(300_000).after).toMatchObject({
      state: "unknown",
      error: "reset; the trainer lists no training with this run's id",
    });
  });

  it("is searched for twelve times longer while the trainer is unavailable", () => {
    const search = (requestedAgoMs: number) =>
      step({ ...ASKED, askedAt: NOW - requestedAgoMs }, INPUTS["unavailable"] as DispatchInput).after.state;
    expect(search(12 * 300_000 - 1)).toBe("pending");
    expect(search(12 * 300_000)).toBe("unknown");
  });
});
