import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { DriftMonitoringCompleted, toInstant } from "../../queues/jobs.ts";
import { PermanentError } from "../../src/core/errors.ts";
import { parseInput } from "../../src/core/parse.ts";
import { PointInTime, toIsoTime } from "../../src/core/point-in-time.ts";

describe("an event", () => {
  it("keeps unknown fields", () => {
    const event = {
      runId: "scheduled__2026-11-22T06:00:00+00:00",
      dagId: "drift_monitoring",
      nested: { a: 1 },
    };
    expect(parseInput(DriftMonitoringCompleted, event, "event")).toEqual(event);
  });

  it("may give its time with a zone, or without one in UTC", () => {
    for (const completedAt of [
      "2025-12-21T14:54:00",
      "2025-12-21T14:54:00.5Z",
      "2025-12-21T14:54:00+09:00",
    ]) {
      expect(parseInput(DriftMonitoringCompleted, { runId: "x", completedAt }, "event")).toEqual({
        runId: "x",
        completedAt,
      });
    }
    expect(toInstant("2025-12-21T14:54:00").toISOString()).toBe("2025-12-21T14:54:00.000Z");
    expect(() =>
      parseInput(DriftMonitoringCompleted, { runId: "x", completedAt: "0000-01-01T00:00:00Z" }, "event"),
    ).toThrow("must be an ISO 8601 time");
  });

  it.each([
    [{}, "runId is missing"],
    [{ runId: 7 }, "runId is 7"],
    [{ runId: "" }, 'runId is ""'],
    [{ runId: "a\u0000b" }, "control characters"],
    [{ runId: "x", status: "done" }, 'status is "done"'],
    [{ runId: "x", completedAt: "yesterday" }, 'completedAt is "yesterday"'],
    [{ runId: "x", model: "../etc" }, 'model is "../etc"'],
    [[1, 2], "the event is an array of 2"],
    [null, "the event is null"],
    ["text", 'the event is "text"'],
    ["x".repeat(1_000_000), "(1000000 characters)"],
  ])("that is malformed is refused with the field named (%#)", (input, expected) => {
    expect(() => parseInput(DriftMonitoringCompleted, input, "event")).toThrow(expected);
  });

  it("of any shape is accepted or refused with a short message, and never breaks the parser", () => {
    fc.assert(
      fc.property(fc.jsonValue(), (input) => {
        try {
          parseInput(DriftMonitoringCompleted, input, "event");
        } catch (error) {
          expect(error).toBeInstanceOf(PermanentError);
          expect((error as Error).message.length).toBeLessThan(5_000);
        }
      }),
    );
  });
});

describe("a point in time", () => {
  const now = Date.parse("2026-11-29T06:00:00Z");

  it.each([
    ["30d", "2026-10-30T06:00:00.000Z"],
    ["2026-11-23", "2026-11-23T00:00:00.000Z"],
    ["2026-11-23T06:30", "2026-11-23T06:30:00.000Z"],
    ["2026-11-23T06:30:15.5", "2026-11-23T06:30:15.500Z"],
    ["2026-11-23T06:30:00Z", "2026-11-23T06:30:00.000Z"],
    ["2026-11-23T06:30:00-05:00", "2026-11-23T11:30:00.000Z"],
  ])("may be %s: an age, a date or a time, in UTC without a zone", (text, expected) => {
    expect(toIsoTime(PointInTime.parse(text), now)).toBe(expected);
  });

  it.each(["", "yesterday", "2026-02-30", "2026-11-23T25:00", "30", "2026-11-23 06:30"])(
    "is refused if it is %j",
    (text) => {
      expect(PointInTime.safeParse(text).success).toBe(false);
    },
  );
});
