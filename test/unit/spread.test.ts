import { describe, expect, it } from "vitest";
import { computeSpreadOffsetMs } from "../../queues/spread.ts";

const SPREAD_MS = 600_000;
const names = Array.from({ length: 2_000 }, (_, index) => `model-${index}`);

describe("the offset of a model in the spread of its schedule", () => {
  it("is the same for the same name, and a whole number from 0 to below the spread", () => {
    for (const name of names) {
      const offsetMs = computeSpreadOffsetMs(name, SPREAD_MS);
      expect(computeSpreadOffsetMs(name, SPREAD_MS)).toBe(offsetMs);
      expect(Number.isInteger(offsetMs) && offsetMs >= 0 && offsetMs < SPREAD_MS).toBe(true);
    }
    // A restart with another version must not move a schedule.
    expect(computeSpreadOffsetMs("films", SPREAD_MS)).toBe(189_767);
  });

  it("gives each tenth of the spread a fair share of the models", () => {
    const tenths = Array.from({ length: 10 }, () => 0);
    for (const name of names) {
      const tenth = Math.floor((computeSpreadOffsetMs(name, SPREAD_MS) * 10) / SPREAD_MS);
      tenths[tenth] = (tenths[tenth] ?? 0) + 1;
    }
    // 200 are expected; four standard deviations are 54.
    for (const count of tenths) expect(Math.abs(count - 200)).toBeLessThan(54);
  });

  it("is 0 without a spread", () => {
    expect(computeSpreadOffsetMs("films", 0)).toBe(0);
  });
});
