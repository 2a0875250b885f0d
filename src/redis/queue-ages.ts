import type { RedisConnection } from "./target.ts";
import { INBOX, type QueueName, QUEUES } from "../../queues/names.ts";

/** How long work has been due that no worker has taken, in seconds; 0 if there is none. */
export interface QueueAges {
  /** Of the oldest job of each queue that could run now. */
  jobs: ReadonlyMap<QueueName, number>;
  /** Of the schedule that is furthest behind. */
  schedules: number;
}

/** BullMQ keeps the time of a delayed job times this, plus a counter. */
const DELAYED_FACTOR = 0x1000;

/**
 * Reads the first job of each list in which jobs wait for a worker: in two round trips, however many jobs there are.
 *
 * @param now Unix milliseconds.
 */
export async function readQueueAges(redis: RedisConnection, prefix: string, now: number): Promise<QueueAges> {
  const [nextSchedule, ...jobs] = await Promise.all([
    readFirstScore(redis, `${prefix}:${INBOX}:repeat`),
    ...QUEUES.map(async (queue) => [queue, await readDueTime(redis, `${prefix}:${queue}`)] as const),
  ]);
  const secondsSince = (instant: number): number => Math.max(0, now - instant) / 1000;
  return {
    jobs: new Map(jobs.map(([queue, dueAt]) => [queue, secondsSince(dueAt)])),
    schedules: secondsSince(nextSchedule),
  };
}

/** Since when the oldest job of a queue could run, Unix milliseconds; infinite if none waits. */
async function readDueTime(redis: RedisConnection, queue: string): Promise<number> {
  const [waiting, [prioritized = null], delayed] = await Promise.all([
    redis.lindex(`${queue}:wait`, "-1"),
    redis.zrange(`${queue}:prioritized`, "0", "0"),
    readFirstScore(redis, `${queue}:delayed`),
  ]);
  const times = [waiting, prioritized].map(async (id) =>
    id === null ? Number.POSITIVE_INFINITY : readJobDueTime(redis, `${queue}:${id}`),
  );
  return Math.min(delayed / DELAYED_FACTOR, ...(await Promise.all(times)));
}

/**
 * A job could run since it was created, or since the delay that it was created with was over. One that ran before has waited
 * since then, or a little less: BullMQ does not keep for how long it was delayed again. For a job
 * retried by hand it keeps neither: until a worker takes it, its age counts from its creation.
 */
async function readJobDueTime(redis: RedisConnection, job: string): Promise<number> {
  const [timestamp, processedOn, options] = await redis.hmget(job, "timestamp", "processedOn", "opts");
  // It ended and was removed in the meantime.
  if (timestamp == null) return Number.POSITIVE_INFINITY;
  const { delay = 0 } = JSON.parse(options ?? "{}") as { delay?: number };
  return Math.max(Number(timestamp) + delay, Number(processedOn ?? 0));
}

/** The lowest score of a sorted set; infinite if it is empty. */
async function readFirstScore(redis: RedisConnection, key: string): Promise<number> {
  const [, score] = await redis.zrange(key, "0", "0", "WITHSCORES");
  return score === undefined ? Number.POSITIVE_INFINITY : Number(score);
}
