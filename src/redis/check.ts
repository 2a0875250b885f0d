import type { Redis } from "ioredis";
import { probeRedis, redisAddress, toError } from "./connection.ts";
import { explainCluster, explainRefusal, type Refusal } from "./refusal.ts";

/** Whether Redis accepts writes. */
export type RedisState =
  | { kind: "ready" }
  | { kind: "refusing"; refusal: Refusal }
  /** No reply: the connection is broken, or the command timed out. */
  | { kind: "away"; error: unknown };

export interface RedisSettings {
  redisUrl: string;
  redisPrefix: string;
}

/** Finds out in one round trip whether Redis accepts writes, without writing anything. Never rejects. */
export async function checkRedis(
  redis: Redis,
  { redisUrl, redisPrefix }: RedisSettings,
): Promise<RedisState> {
  const [info, written] = await Promise.allSettled([
    redis.info(),
    // The key never exists, so XX writes nothing; Redis refuses the command like any other write.
    redis.set(`${redisPrefix}:write-check`, "", "XX"),
  ]);
  const address = redisAddress(redisUrl);
  // Some providers forbid INFO.
  const fields = parseInfo(info.status === "fulfilled" ? info.value : "");
  if (fields.get("cluster_enabled") === "1") return { kind: "refusing", refusal: explainCluster(address) };
  if (written.status === "fulfilled") return { kind: "ready" };
  const refusal = explainRefusal(written.reason, address, fields);
  return refusal === null ? { kind: "away", error: written.reason } : { kind: "refusing", refusal };
}

/**
 * Connects once and checks that Redis accepts writes.
 * @throws PermanentError for a wrong password or a cluster node; ServerAwayError if Redis cannot be reached, or refuses
 * writes temporarily.
 */
export async function requireRedis(settings: RedisSettings): Promise<void> {
  await probeRedis(settings.redisUrl, async (redis) => {
    const state = await checkRedis(redis, settings);
    if (state.kind === "refusing") throw toError(state.refusal);
    if (state.kind === "away") throw state.error;
  });
}

/** The "name:value" lines of INFO. */
export function parseInfo(info: string): ReadonlyMap<string, string> {
  return new Map([...info.matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, name = "", value = ""]) => [name, value]));
}
