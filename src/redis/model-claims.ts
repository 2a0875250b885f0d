import { randomUUID } from "node:crypto";
import type { Redis } from "ioredis";

/** Which models the live services of one prefix serve, so that no service removes another's schedules or fails its jobs. */
export interface ModelClaims {
  /** Claims this process's models for the next two and a half hours. To be repeated every hour. */
  refresh(): Promise<void>;
  /** The models that another live process serves, whether or not this one serves them too. */
  listElsewhere(): Promise<ReadonlySet<string>>;
  /**
   * Keeps the claims of this process for the minutes that a restart takes, so that its jobs wait for its successor: the next
   * process that shares a model with it. The claims of a killed process expire.
   */
  release(): Promise<void>;
}

const TTL_MS = 2.5 * 60 * 60_000;
const RESTART_LIMIT_MS = 15 * 60_000;
const RELEASED = "released-";

/** Claims are members "<instance> <model>" of one sorted set. Their score is the time of expiry on the clock of Redis. */
export function createModelClaims(
  redis: Redis,
  prefix: string,
  models: readonly string[],
  { ttlMs = TTL_MS, instanceId = randomUUID() }: { ttlMs?: number; instanceId?: string } = {},
): ModelClaims {
  const key = `${prefix}:model-claims`;
  const members = models.map((model) => `${instanceId} ${model}`);
  return {
    async refresh() {
      const now = await readClock(redis);
      await redis
        .multi()
        .zremrangebyscore(key, "-inf", now)
        .zadd(key, ...members.flatMap((member) => [now + ttlMs, member]))
        .exec();
      await dropPredecessors();
    },
    async listElsewhere() {
      const live = await redis.zrangebyscore(key, `(${await readClock(redis)}`, "+inf");
      return new Set(
        live
          .map((member) => member.split(" ") as [string, string])
          .filter(([instance]) => instance !== instanceId)
          .map(([, model]) => model),
      );
    },
    async release() {
      const expiresAt = (await readClock(redis)) + Math.min(ttlMs, RESTART_LIMIT_MS);
      await redis
        .multi()
        .zrem(key, ...members)
        .zadd(key, ...members.flatMap((member) => [expiresAt, `${RELEASED}${member}`]))
        .exec();
    },
  };

  /** Drops all claims of a stopped process that shared a model with this one: this process is its successor. */
  async function dropPredecessors(): Promise<void> {
    const released = (await redis.zrange(key, "0", "-1")).filter((member) => member.startsWith(RELEASED));
    const instanceOf = (member: string): string => member.split(" ")[0] ?? "";
    const predecessors = new Set(
      released.filter((member) => models.includes(member.split(" ")[1] ?? "")).map(instanceOf),
    );
    const dropped = released.filter((member) => predecessors.has(instanceOf(member)));
    if (dropped.length > 0) await redis.zrem(key, ...dropped);
  }
}

/** The clock of Redis in milliseconds, because the clocks of the services may differ. */
async function readClock(redis: Redis): Promise<number> {
  const [seconds] = await redis.time();
  return Number(seconds) * 1000;
}
