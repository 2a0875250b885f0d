import { describe, expect, it } from "vitest";
import { judgeWith, policyFrom, withChecks } from "./tables.ts";

describe("quietHours", () => {
  /** When quiet hours let go of a decision at an instant; null if they do not object. */
  function endOf(quietHours: object, at: string): string | null {
    const policy = policyFrom({ when: { bufferSize: 1 }, guards: { quietHours } });
    const { failed, nextLookAt } = judgeWith(policy, withChecks([], { takenAt: Date.parse(at) }));
    expect(failed).toEqual(nextLookAt === null ? [] : ["quiet_hours"]);
    return nextLookAt?.replace(".000Z", "Z") ?? null;
  }
  const paris = "Europe/Paris";
  const newYork = "America/New_York";
  const nights = "22:00-06:00";
  const small = "02:00-03:00";

  it.each([
    ["before the weekend", { days: ["sat", "sun"], zone: paris }, "2026-07-17T21:59:59.999Z", null],
    [
      "as the weekend begins",
      { days: ["sat", "sun"], zone: paris },
      "2026-07-17T22:00:00Z",
      "2026-07-19T22:00:00Z",
    ],
    ["as the weekend ends", { days: ["sat", "sun"], zone: paris }, "2026-07-19T22:00:00Z", null],
    [
      "on a weekend with a change to winter time",
      { days: ["sat", "sun"], zone: paris },
      "2026-10-24T12:00:00Z",
      "2026-10-25T23:00:00Z",
    ],
    [
      "on a weekend with a change to summer time",
      { days: ["sat", "sun"], zone: paris },
      "2026-03-28T12:00:00Z",
      "2026-03-29T22:00:00Z",
    ],
    [
      "on six days of the week",
      { days: ["mon", "tue", "wed", "thu", "fri", "sat"], zone: "UTC" },
      "2026-07-13T00:00:00Z",
      "2026-07-19T00:00:00Z",
    ],
    [
      "at night, before midnight",
      { hours: nights, zone: paris },
      "2026-07-15T20:00:00Z",
      "2026-07-16T04:00:00Z",
    ],
    [
      "at night, after midnight",
      { hours: nights, zone: paris },
      "2026-07-16T03:59:59Z",
      "2026-07-16T04:00:00Z",
    ],
    ["in the morning", { hours: nights, zone: paris }, "2026-07-16T04:00:00Z", null],
    [
      "in a night that is an hour longer",
      { hours: nights, zone: paris },
      "2026-10-24T20:00:00Z",
      "2026-10-25T05:00:00Z",
    ],
    [
      "in a night that is an hour shorter",
      { hours: nights, zone: paris },
      "2026-03-28T21:00:00Z",
      "2026-03-29T04:00:00Z",
    ],
    [
      "in a night that is an hour longer, New York",
      { hours: nights, zone: newYork },
      "2026-11-01T02:00:00Z",
      "2026-11-01T11:00:00Z",
    ],
    [
      "in a night that is an hour shorter, New York",
      { hours: nights, zone: newYork },
      "2026-03-08T03:00:00Z",
      "2026-03-08T10:00:00Z",
    ],
    [
      "in the night of a listed day, after its midnight",
      { days: ["fri"], hours: nights, zone: paris },
      "2026-07-18T01:00:00Z",
      "2026-07-18T04:00:00Z",
    ],
    [
      "on a listed day, in the night of the day before",
      { days: ["fri"], hours: nights, zone: paris },
      "2026-07-17T01:00:00Z",
      null,
    ],
    [
      "in an hour that comes twice, the first time",
      { hours: small, zone: paris },
      "2026-10-25T00:30:00Z",
      "2026-10-25T02:00:00Z",
    ],
    [
      "in an hour that comes twice, the second time",
      { hours: small, zone: paris },
      "2026-10-25T01:30:00Z",
      "2026-10-25T02:00:00Z",
    ],
    [
      "in half of an hour that comes twice, the first time",
      { hours: "02:00-02:30", zone: paris },
      "2026-10-25T00:15:00Z",
      "2026-10-25T00:30:00Z",
    ],
    [
      "in half of an hour that comes twice, the second time",
      { hours: "02:00-02:30", zone: paris },
      "2026-10-25T01:15:00Z",
      "2026-10-25T01:30:00Z",
    ],
    [
      "until the clock goes back into them",
      { hours: "01:30-03:00", zone: newYork },
      "2026-11-01T05:45:00Z",
      "2026-11-01T06:00:00Z",
    ],
    [
      "again after the clock went back",
      { hours: "01:30-03:00", zone: newYork },
      "2026-11-01T06:30:00Z",
      "2026-11-01T08:00:00Z",
    ],
    ["at an hour that is left out", { hours: small, zone: paris }, "2026-03-29T01:00:00Z", null],
    [
      "from before an hour that is left out",
      { hours: "01:30-02:30", zone: paris },
      "2026-03-29T00:45:00Z",
      "2026-03-29T01:00:00Z",
    ],
    [
      "to the end of the day",
      { hours: "12:00-00:00", zone: paris },
      "2026-07-15T10:00:00Z",
      "2026-07-15T22:00:00Z",
    ],
    // Midnight of 2026-03-29 does not exist in Beirut: the clock goes from 23:59 to 01:00.
    [
      "to a midnight that does not exist",
      { days: ["sat"], zone: "Asia/Beirut" },
      "2026-03-28T12:00:00Z",
      "2026-03-28T22:00:00Z",
    ],
    [
      "from a midnight that does not exist",
      { days: ["sun"], zone: "Asia/Beirut" },
      "2026-03-28T22:00:00Z",
      "2026-03-29T21:00:00Z",
    ],
    [
      "up to hours of a midnight that does not exist",
      { hours: "23:00-00:30", zone: "Asia/Beirut" },
      "2026-03-28T21:30:00Z",
      "2026-03-28T22:00:00Z",
    ],
    // Midnight of 2024-10-06 did not exist in Asuncion.
    [
      "to a midnight that did not exist",
      { days: ["sat"], zone: "America/Asuncion" },
      "2024-10-05T12:00:00Z",
      "2024-10-06T04:00:00Z",
    ],
  ])("%s", (_, quietHours, at, end) => {
    expect(endOf(quietHours, at)).toBe(end);
  });
});
