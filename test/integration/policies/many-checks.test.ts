import { afterAll, beforeAll, expect, it } from "vitest";
import { createPolicyWorld, listDecisions, type PolicyWorld } from "../../support/policies.ts";

/** More checks than a decision lists. */

let world: PolicyWorld;
beforeAll(async () => {
  world = await createPolicyWorld({
    minutely: {
      policy: { when: [{ recentDriftChecks: "7d" }, { driftAlerts: { atLeast: 1, within: "2d" } }] },
    },
    wide: { policy: { when: { consecutiveRuns: 2 } } },
    slow: { policy: { when: { consecutiveRuns: 3 } } },
  });
  await world.startApp();
}, 60_000);
afterAll(() => world.close());

/** @param rows A query of metric, whether it fired, and how long ago, by `f` and `r`. */
const addAll = (model: string, rows: string) =>
  world.sql(
    `INSERT INTO monitoring.drift_log (model, metric, value, limit_value, fired, n, created_at)
     SELECT $1, 'f' || f, 1, 0.5, fired, 1000, now() - ago FROM (${rows}) AS checks`,
    [model],
  );

async function decideTwice(model: string): Promise<(string | null)[]> {
  for (let count = 0; count < 2; count += 1) await world.decide({ model });
  return (await listDecisions(world, model)).map(({ reason }) => reason);
}

it(
  "every alert that counts is on record, so that it starts one training only",
  { timeout: 60_000 },
  async () => {
    await addAll(
      "minutely",
      "SELECT f, true AS fired, make_interval(mins => r) AS ago FROM generate_series(1, 10) f, generate_series(1, 4320) r",
    );
    expect(await decideTwice("minutely")).toEqual(["drift_detected", "already_acted_on"]);
  },
);

it("two drift runs of 2,000 features are two, and start one training", { timeout: 60_000 }, async () => {
  await addAll(
    "wide",
    "SELECT f, true AS fired, make_interval(hours => r, secs => f / 100) AS ago FROM generate_series(0, 1999) f, generate_series(1, 2) r",
  );
  expect(await decideTwice("wide")).toEqual(["drift_detected", "already_acted_on"]);
});

it("a run that was not read is not taken for one with an alert", { timeout: 60_000 }, async () => {
  await addAll(
    "slow",
    "SELECT f, f < 5 AND r <> 2 AS fired, make_interval(days => r, secs => f + 1) AS ago FROM generate_series(0, 599) f, generate_series(0, 5) r",
  );
  await world.decide({ model: "slow" });
  expect((await listDecisions(world, "slow"))[0]?.reason).toBe("too_few_consecutive_runs");
});
