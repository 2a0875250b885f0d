import { describe, expect, it } from "vitest";
import { openLane } from "./lane.ts";
import { createPlans } from "./plans.ts";
import { DAY } from "../support/today.ts";
import { makeRun } from "./runs.ts";

/** The short form of `npm run test:faults -- --cluster` and `-- --sentinel`: one failover of each, another one every day. */
describe(`the service while Redis fails over (day ${DAY})`, () => {
  const faults = ["master killed", "master suspended", "master killed, its replica behind"] as const;

  it.concurrent.each([
    ["cluster", faults[DAY % faults.length]],
    ["sentinel", faults[(DAY + 1) % faults.length]],
  ] as const)(
    "on a %s, %s: neither duplicates a decision nor loses an event that Postgres has",
    { timeout: 240_000 },
    async (redis, fault = "master killed") => {
      const [plan] = createPlans(1, DAY, [fault]);
      if (!plan) throw new Error("No plan was generated");
      const lane = await openLane({ redis });
      try {
        const { violations, decisions, hasStruck } = await makeRun(lane, plan);
        expect(violations).toEqual([]);
        expect(hasStruck).toBe(true);
        expect(decisions).toBeGreaterThan(0);
      } finally {
        await lane.close();
      }
    },
  );
});
