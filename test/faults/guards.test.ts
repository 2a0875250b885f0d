import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Lane, openLane } from "./lane.ts";
import { buildMutant, MUTANTS, removeMutant } from "./mutants.ts";
import { dueToday } from "../support/today.ts";
import { makeRun } from "./runs.ts";

// A fault run of a copy of the program takes long.
const TODAY = dueToday(MUTANTS, 3);

const REST_LIMIT_MS = 20_000;

describe("the fault suite fails without the guard", () => {
  let unchanged: Lane;
  beforeAll(async () => {
    unchanged = await openLane();
  }, 60_000);
  afterAll(() => unchanged.close());

  it.each(TODAY)("$guard", { timeout: 180_000 }, async (mutant) => {
    const root = await buildMutant(mutant);
    const lane = await openLane({ root });
    try {
      const [withGuard, withoutGuard] = await Promise.all([
        makeRun(unchanged, mutant.plan, { restMs: REST_LIMIT_MS }),
        makeRun(lane, mutant.plan, { restMs: REST_LIMIT_MS }),
      ]);
      expect(withGuard.violations).toEqual([]);
      expect(withGuard.hasStruck).toBe(true);
      expect(withoutGuard.violations.map(({ kind }) => kind)).toContain(mutant.expected);
    } finally {
      await lane.close();
      await removeMutant(root);
    }
  });
});
