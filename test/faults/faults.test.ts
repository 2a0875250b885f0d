import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createLanes } from "./lane.ts";
import { createPlans, FAULTS } from "./plans.ts";
import { DAY, dueToday } from "../support/today.ts";
import { makeRun } from "./runs.ts";

const PLANS = dueToday(createPlans(FAULTS.length, DAY), 3);

/** The short form of `npm run test:faults`: each fault once in three days. */
describe(`the service under faults (day ${DAY})`, () => {
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
