import { probeRedis, toError } from "./connection.ts";
import { explainCluster, explainRefusal, type Refusal } from "./refusal.ts";
import { type RedisConnection, type RedisTarget, redisAddress } from "./target.ts";

/** Whether Redis accepts writes. */
export type RedisState =
  | {
      kind: "ready";
      /** Another one after a failover or a restart; null if INFO is forbidden. */
      replicationId: string | null;
    }
  | { kind: "refusing"; refusal: Refusal }
  /** No reply: the connection is broken, or the command timed out. */
  | { kind: "away"; error: unknown };

export interface RedisSettings extends RedisTarget {
  redisPrefix: string;
}

/** Finds out in one round trip whether Redis accepts writes, without writing anything. Never rejects. */
export async function checkRedis(redis: RedisConnection, settings: RedisSettings): Promise<RedisState> {
  // The key never exists, so XX writes nothing; Redis refuses the command like any other write.
  const key = `${settings.redisPrefix}:write-check`;
  const [info, written] = await Promise.allSettled([readInfo(redis, key), redis.set(key, "", "XX")]);
  const address = redisAddress(settings);
  const isCluster = settings.redisClusterNodes !== undefined;
  // Some providers forbid INFO.
  const fields = parseInfo(info.status === "fulfilled" ? info.value : "");
  if (!isCluster && fields.get("cluster_enabled") === "1")
    return { kind: "refusing", refusal: explainCluster(address) };
  if (written.status === "fulfilled")
    return { kind: "ready", replicationId: fields.get("master_replid") ?? null };
  const refusal = explainRefusal(written.reason, { address, isCluster }, fields);
  return refusal === null ? { kind: "away", error: written.reason } : { kind: "refusing", refusal };
}

/** INFO of the server that holds a key: in a cluster, a command without a key goes to any node. */
async function readInfo(redis: RedisConnection, key: string): Promise<string> {
  return redis.isCluster ? String(await redis.eval("return redis.call('INFO')", 1, key)) : redis.info();
}

/**
 * Connects once and checks that Redis accepts writes.
 * @throws PermanentError for a wrong password or a cluster node under a plain REDIS_URL; ServerAwayError if Redis cannot be reached, or refuses
 * writes temporarily.
 */
export async function requireRedis(settings: RedisSettings): Promise<void> {
  await probeRedis(settings, async (redis) => {
    const state = await checkRedis(redis, settings);
    if (state.kind === "refusing") throw toError(state.refusal);
    if (state.kind === "away") throw state.error;
  });
}

/** The "name:value" lines of INFO. */
export function parseInfo(info: string): ReadonlyMap<string, string> {
  return new Map([...info.matchAll(/^(\w+):(.*?)\r?$/gm)].map(([, name = "", value = ""]) => [name, value]));
}
