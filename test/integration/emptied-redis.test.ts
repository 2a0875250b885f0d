import { afterEach, describe, expect, it } from "vitest";
import { INBOX_JOBS } from "../../queues/names.ts";
import { addCheck, createWorld, holdTable, until, type World } from "../support/world.ts";
import { deleteKeys } from "../support/redis-keys.ts";

let world: World;
afterEach(() => world.close());

/** Deletes what FLUSHALL, or a restart without persistence, would delete; the keys of other tests stay. */
const emptyRedis = (): Promise<void> => deleteKeys(world.redis, world.config.redisPrefix);

describe("a Redis that was emptied", () => {
  it("gets its schedules back, no decision is repeated, and the next event leads to a decision", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", SCHEDULE: "0 6 * * *" } });
    await addCheck(world);
    await world.startApp();
    const first = await world.decide({ runId: "drift-1" });
    expect(first.decision).toBe("trigger_mock");
    await emptyRedis();
    await until(
      "the schedule is back",
      async () => (await world.client.inbox.getJobSchedulers()).length === 1,
    );
    const again = await world.client.inbox.add(INBOX_JOBS.event, { runId: "drift-1" });
    const result = await until("the event is processed", async () => {
      const job = await world.client.inbox.getJob(again.id ?? "");
      return job?.returnvalue as unknown;
    });
    expect(result).toEqual({ outcome: "duplicate", runId: first.runId });
    expect((await world.decide({ runId: "drift-2" })).reason).toBe("already_acted_on");
    expect(await world.sql("SELECT FROM retraining_decisions")).toHaveLength(2);
  });

  it("in the middle of a run loses no event that is recorded in Postgres", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
    await addCheck(world);
    await world.startApp();
    const hold = await holdTable(world, "ratings_buffer");
    await world.client.send(INBOX_JOBS.event, { runId: "drift-1" });
    await hold.untilSessionWaits();
    await world.client.send(INBOX_JOBS.event, { runId: "drift-2" });
    await until(
      "both are known",
      async () => (await world.sql("SELECT FROM retraining_events")).length === 2,
    );
    await emptyRedis();
    await hold.release();
    await until("both are covered", async () => {
      const open = await world.sql(
        `SELECT FROM retraining_events AS event WHERE NOT EXISTS (SELECT FROM retraining_decisions
         WHERE run_id = event.run_id OR (evidence ->> 'takenAt')::timestamptz >= event.received_at)`,
      );
      return open.length === 0;
    });
    const triggers = await world.sql("SELECT FROM retraining_decisions WHERE decision = 'trigger_mock'");
    expect(triggers).toHaveLength(1);
  });

  it("keeps the time of the next scheduled run if nothing was lost", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", SCHEDULE: "0 6 * * *" } });
    await world.startApp();
    const [before] = await world.client.inbox.getJobSchedulers();
    await world.startApp();
    const [after] = await world.client.inbox.getJobSchedulers();
    expect(after).toEqual(before);
  });
});
