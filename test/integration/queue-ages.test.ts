import { afterAll, beforeAll, expect, it } from "vitest";
import { INBOX, INBOX_JOBS, type QueueName } from "../../queues/names.ts";
import { readQueueAges } from "../../src/redis/queue-ages.ts";
import { createWorld, withQueue, type World } from "../support/world.ts";

const MINUTE_MS = 60_000;
/** A whole number, as BullMQ keeps it. */
const NOW = Date.now();

let world: World;
beforeAll(async () => {
  world = await createWorld({ isEmpty: true });
});
afterAll(() => world.close());

const readAges = () => readQueueAges(world.redis, world.config.redisPrefix, NOW);

/** The age of a queue's oldest job, in minutes. */
async function readAge(queue: QueueName): Promise<number> {
  return Number((await readAges()).jobs.get(queue)) / 60;
}

it("is 0 for queues without jobs, and without schedules", async () => {
  const { jobs, schedules } = await readAges();
  expect([...jobs.values()]).toEqual([0, 0, 0, 0, 0, 0, 0]);
  expect(schedules).toBe(0);
});

it("is that of the oldest job that waits, not of the newest", async () => {
  await withQueue(world, "gather", async (queue) => {
    await queue.add("gather", {}, { timestamp: NOW - 5 * MINUTE_MS });
    await queue.add("gather", {}, { timestamp: NOW - MINUTE_MS });
    expect(await readAge("gather")).toBe(5);
    await queue.add("gather", {}, { timestamp: NOW - 7 * MINUTE_MS, priority: 1 });
    expect(await readAge("gather")).toBe(7);
    await queue.pause();
    expect(await readAge("gather")).toBe(7);
  });
});

it("of a delayed job counts from the time it is due", async () => {
  await withQueue(world, "training", async (queue) => {
    await queue.add("follow", {}, { timestamp: NOW, delay: MINUTE_MS });
    expect(await readAge("training")).toBe(0);
    await queue.add("follow", {}, { timestamp: NOW - 10 * MINUTE_MS, delay: 7 * MINUTE_MS });
    expect(await readAge("training")).toBeCloseTo(3, 3);
  });
});

it("does not count the delay of a job that waits now", async () => {
  await withQueue(world, "notifications", async (queue) => {
    const job = await queue.add("late", {}, { timestamp: NOW - 60 * MINUTE_MS, delay: 58 * MINUTE_MS });
    await job.promote();
    expect(await readAge("notifications")).toBe(2);
  });
});

it("of a job that ran before counts from then", async () => {
  await withQueue(world, "act", async (queue) => {
    const job = await queue.add("act", {}, { timestamp: NOW - 60 * MINUTE_MS });
    await world.redis.hset(queue.toKey(String(job.id)), "processedOn", String(NOW - 4 * MINUTE_MS));
    expect(await readAge("act")).toBe(4);
  });
});

it("of a schedule is how late the earliest one is", async () => {
  await withQueue(world, INBOX, async (queue) => {
    for (const id of ["early", "late"])
      await queue.upsertJobScheduler(id, { pattern: "0 6 * * *" }, { name: INBOX_JOBS.schedule });
    expect((await readAges()).schedules).toBe(0);
    await world.redis.zadd(queue.toKey("repeat"), NOW - 9 * MINUTE_MS, "late");
    await world.redis.zadd(queue.toKey("repeat"), NOW - 2 * MINUTE_MS, "early");
    expect((await readAges()).schedules).toBe(9 * 60);
  });
});
