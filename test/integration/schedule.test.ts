import { afterEach, describe, expect, it } from "vitest";
import { addCheck, createWorld, until, type World } from "../support/world.ts";

let world: World;
afterEach(() => world.close());

describe("the schedule", () => {
  it("fires, again and again, and the guard keeps it from training twice", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", SCHEDULE: "* * * * * *" } });
    await addCheck(world);
    await world.startApp();
    await until(
      "three scheduled decisions",
      async () => (await world.sql("SELECT 1 FROM retraining_decisions")).length >= 3,
    );
    const rows = await world.sql(
      "SELECT cause, decision, reason FROM retraining_decisions ORDER BY id LIMIT 3",
    );
    expect(rows).toEqual([
      { cause: "schedule", decision: "trigger_mock", reason: "drift_detected" },
      { cause: "schedule", decision: "no_action", reason: "already_acted_on" },
      { cause: "schedule", decision: "no_action", reason: "already_acted_on" },
    ]);
  });

  it("follows the settings at each start, and is gone when they say off", async () => {
    world = await createWorld({ settings: { SCHEDULE: "0 6 * * *" } });
    const patterns = async () =>
      (await world.client.inbox.getJobSchedulers()).map(({ pattern, tz }) => ({ pattern, tz }));
    const first = await world.startApp();
    expect(await patterns()).toEqual([{ pattern: "0 6 * * *", tz: "UTC" }]);
    const next = (await world.client.inbox.getJobScheduler("schedule-default"))?.next ?? 0;
    expect(new Date(next).toISOString()).toMatch(/T06:00:00/);
    await first.stop();
    const models = new Map([...world.config.models].map(([name, own]) => [name, { ...own, schedule: null }]));
    await world.startApp({ models });
    expect(await patterns()).toEqual([]);
  });
});
