import { Cluster } from "ioredis";
import type { RedisConnection } from "../../src/redis/target.ts";

/** The keys that match a pattern, of all nodes if it is a cluster. */
export async function listKeys(redis: RedisConnection, pattern: string): Promise<string[]> {
  const servers = redis instanceof Cluster ? redis.nodes("master") : [redis];
  return (await Promise.all(servers.map((server) => server.keys(pattern)))).flat();
}

/** Deletes every key of a prefix, in one step: between two, workers would leave half of a job behind. */
export async function deleteKeys(redis: RedisConnection, prefix: string): Promise<void> {
  const script = "for _, key in ipairs(redis.call('KEYS', ARGV[1] .. ':*')) do redis.call('DEL', key) end";
  // The key leads to the node of a cluster that has them all.
  await redis.eval(script, 1, `${prefix}:any`, prefix);
}
