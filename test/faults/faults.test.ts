import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createLanes } from "./lane.ts";
import { createPlans, FAULTS } from "./plans.ts";
import { makeRun } from "./runs.ts";

// The seed changes daily and stays the same all day, so that a failure can be reproduced.
const SEED = Math.floor(Date.now() / 86_400_000);

const PLANS = createPlans(FAULTS.length, SEED).filter((_, index) => (index + SEED) % 2 === 0);

/** The short form of `npm run test:faults`: each fault once in two days. */
describe(`the service under faults (seed ${SEED})`, () => {
  const lanes = createLanes(2);
  beforeAll(() => lanes.open());
  afterAll(() => lanes.close());

  it.concurrent.each(PLANS)(
    "$fault: neither duplicates a decision nor loses an event",
    { timeout: 240_000 },
    async (plan) => {
      const { violations, decisions } = await lanes.use((lane) => makeRun(lane, plan));
      expect(violations).toEqual([]);
      expect(decisions).toBeGreaterThan(0);
    },
  );
});
