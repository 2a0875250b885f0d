import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type Lane, openLane } from "./lane.ts";
import { buildMutant, MUTANTS, removeMutant } from "./mutants.ts";
import { makeRun } from "./runs.ts";

const REST_LIMIT_MS = 20_000;

describe("the fault suite notices when a guard is taken out", () => {
  let whole: Lane;
  beforeAll(async () => {
    whole = await openLane();
  }, 60_000);
  afterAll(() => whole.close());

  it.each(MUTANTS)("$guard", { timeout: 180_000 }, async (mutant) => {
    const root = await buildMutant(mutant);
    const lane = await openLane(root);
    try {
      const [withGuard, without] = await Promise.all([
        makeRun(whole, mutant.plan, REST_LIMIT_MS),
        makeRun(lane, mutant.plan, REST_LIMIT_MS),
      ]);
      expect(withGuard.violations).toEqual([]);
      expect(withGuard.hasStruck).toBe(true);
      expect(without.violations.map(({ kind }) => kind)).toContain(mutant.expected);
    } finally {
      await lane.close();
      await removeMutant(root);
    }
  });
});
