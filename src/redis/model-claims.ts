import { randomUUID } from "node:crypto";
import type { RedisConnection } from "./target.ts";

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

/**
 * Claims are members "<instance> <model>" of one sorted set. Their score is the time of expiry on the clock of Redis.
 *
 * @param listModels The models of this process. They may change between two refreshes.
 */
export function createModelClaims(
  redis: RedisConnection,
  prefix: string,
  listModels: () => readonly string[],
  { ttlMs = TTL_MS, instanceId = randomUUID() }: { ttlMs?: number; instanceId?: string } = {},
): ModelClaims {
  const key = `${prefix}:model-claims`;
  let members: readonly string[] = [];
  return {
    async refresh() {
      const now = await readClock(redis);
      const models = new Set(listModels());
      const current = new Set([...models].map((model) => `${instanceId} ${model}`));
      const dropped = members.filter((member) => !current.has(member));
      const changes = redis.multi().zremrangebyscore(key, "-inf", now);
      if (dropped.length > 0) changes.zrem(key, ...dropped);
      if (current.size > 0) changes.zadd(key, ...[...current].flatMap((member) => [now + ttlMs, member]));
      await changes.exec();
      members = [...current];
      await dropPredecessors(models);
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
      if (members.length === 0) return;
      const expiresAt = (await readClock(redis)) + Math.min(ttlMs, RESTART_LIMIT_MS);
      await redis
        .multi()
        .zrem(key, ...members)
        .zadd(key, ...members.flatMap((member) => [expiresAt, `${RELEASED}${member}`]))
        .exec();
    },
  };

  /** Drops all claims of a stopped process that shared a model with this one: this process is its successor. */
  async function dropPredecessors(models: ReadonlySet<string>): Promise<void> {
    const released = (await redis.zrange(key, "0", "-1")).filter((member) => member.startsWith(RELEASED));
    const instanceOf = (member: string): string => member.split(" ")[0] ?? "";
    const predecessors = new Set(
      released.filter((member) => models.has(member.split(" ")[1] ?? "")).map(instanceOf),
    );
    const dropped = released.filter((member) => predecessors.has(instanceOf(member)));
    if (dropped.length > 0) await redis.zrem(key, ...dropped);
  }
}

/**
 * The clock of Redis in milliseconds, because the clocks of the services may differ. In a cluster it is that of any master,
 * which differ by far less than a claim lasts.
 */
async function readClock(redis: RedisConnection): Promise<number> {
  const [seconds] = await redis.time();
  return Number(seconds) * 1000;
}
