import type { Cluster, Redis } from "ioredis";
import { type Finding, ok, fault, warning } from "../../core/finding.ts";
import { parseInfo, type RedisSettings } from "../../redis/check.ts";
import { isCluster, type RedisConnection } from "../../redis/target.ts";
import { formatServer } from "../../settings/server-list.ts";

/** The servers behind a cluster or sentinels. Nothing for a plain server. */
export async function diagnoseServers(
  redis: RedisConnection,
  { redisPrefix, redisSentinels, redisSentinelMaster }: RedisSettings,
): Promise<Finding[]> {
  if (isCluster(redis)) return diagnoseCluster(redis, redisPrefix);
  if (redisSentinels === undefined) return [];
  const replicas = Number(parseInfo(await redis.info("replication")).get("connected_slaves"));
  return [
    reportReplicas(`The sentinels name ${await readAddress(redis)} as ${redisSentinelMaster}`, replicas),
  ];
}

async function diagnoseCluster(cluster: Cluster, prefix: string): Promise<Finding[]> {
  const info = parseInfo(await cluster.cluster("INFO"));
  const valueOf = (name: string): string => info.get(name) ?? "?";
  const size = `Redis Cluster: ${valueOf("cluster_known_nodes")} nodes, ${valueOf("cluster_size")} masters with slots`;
  const state = valueOf("cluster_state");
  const [master, ...replicas] = await listShard(cluster, prefix);
  return [
    state === "ok"
      ? ok(`${size}, its state is ok`)
      : fault(`${size}, but its state is ${state}`, "redis-cli CLUSTER NODES shows which are down"),
    master === undefined
      ? fault(`No master has the keys of ${prefix}`, "redis-cli CLUSTER SLOTS shows which slots are served")
      : reportReplicas(`The keys of ${prefix} are on ${master}`, replicas.length),
  ];
}

function reportReplicas(text: string, replicas: number): Finding {
  return replicas > 0
    ? ok(`${text}, with ${replicas} replica(s)`)
    : warning(`${text}, without a replica: if it fails, everything waits for it`, "add a replica");
}

/** The master that has the keys of a prefix, then its replicas, as host:port. */
async function listShard(cluster: Cluster, prefix: string): Promise<string[]> {
  const slot = await cluster.cluster("KEYSLOT", prefix);
  const ranges = await cluster.cluster("SLOTS");
  const range = ranges.find(([first, last]) => first <= slot && slot <= last);
  const [, , ...servers] = range ?? [0, 0];
  return servers.map(([host, port]) => formatServer({ host, port }));
}

/** The servers whose own settings count: of a cluster, the master that has our keys and those that may replace it. */
export async function listOwnServers(redis: RedisConnection, prefix: string): Promise<RedisConnection[]> {
  if (!isCluster(redis)) return [redis];
  const shard = await listShard(redis, prefix);
  return redis.nodes().filter((node) => shard.includes(addressOf(node)));
}

function addressOf({ options: { host = "", port = 0 } }: Redis): string {
  return formatServer({ host, port });
}

/** The address at which the server itself sees the connection. */
async function readAddress(redis: RedisConnection): Promise<string> {
  const info = await redis.client("INFO").catch(() => "");
  return / laddr=(\S+)/.exec(info)?.[1] ?? "a server";
}
