import { formatServer, type ServerAddress } from "../settings/server-list.ts";

interface Given {
  redisUrl: string | undefined;
  redisClusterNodes: readonly ServerAddress[] | undefined;
  redisSentinels: readonly ServerAddress[] | undefined;
  redisSentinelMaster: string;
}

/**
 * Finds what contradicts each other in the settings of Redis. With nodes or sentinels, REDIS_URL gives only TLS, user and
 * password. It still names a host, which must be one of theirs: otherwise it would be unclear which Redis is meant.
 */
export function findRedisFaults({
  redisUrl,
  redisClusterNodes,
  redisSentinels,
  redisSentinelMaster,
}: Given): string[] {
  if (redisClusterNodes && redisSentinels)
    return ["REDIS_CLUSTER_NODES and REDIS_SENTINELS are both set: keep one, a cluster needs no sentinels"];
  const variable = redisClusterNodes ? "REDIS_CLUSTER_NODES" : "REDIS_SENTINELS";
  const servers = redisClusterNodes ?? redisSentinels;
  if (redisUrl === undefined || servers === undefined) return [];
  const { hostname, pathname } = new URL(redisUrl);
  const names = servers.map(({ host }) => host);
  const host = hostname.replace(/^\[(.*)\]$/, "$1");
  return [
    ...(names.includes(host) || (redisSentinels && host === redisSentinelMaster)
      ? []
      : [
          `REDIS_URL names the host ${host}, which is not in ${variable}: write ${names[0]} there; the URL then gives only TLS, user and password`,
        ]),
    ...(redisClusterNodes && !/^\/?0?$/.test(pathname)
      ? [`REDIS_URL names the database ${pathname.slice(1)}: a cluster has only database 0, so leave it out`]
      : []),
  ];
}

/** REDIS_URL, or if it is left out, a URL without a login. Empty if no Redis is given. */
export function toRedisUrl({ redisUrl, redisClusterNodes, redisSentinels }: Given): string {
  const [first] = redisClusterNodes ?? redisSentinels ?? [];
  return redisUrl ?? (first ? `redis://${formatServer(first)}` : "");
}
