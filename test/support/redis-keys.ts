import { Cluster } from "ioredis";
import type { RedisConnection } from "../../src/redis/target.ts";

/** The keys that match a pattern, of all nodes if it is a cluster. */
export async function listKeys(redis: RedisConnection, pattern: string): Promise<string[]> {
  const servers = redis instanceof Cluster ? redis.nodes("master") : [redis];
  return (await Promise.all(servers.map((server) => server.keys(pattern)))).flat();
}
