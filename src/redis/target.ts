import { Cluster, Redis, type RedisOptions } from "ioredis";
import { formatServer, type ServerAddress } from "../settings/server-list.ts";
import { makeLasting } from "./lasting-cluster.ts";
import { LastingSentinelConnector } from "./sentinel-connector.ts";

/** A connection to one server, or to all nodes of a cluster. All our keys are in one slot, so that both work alike. */
export type RedisConnection = Redis | Cluster;

export const isCluster = (redis: RedisConnection): redis is Cluster => redis.isCluster;

/** Where Redis is: one server, a cluster, or a master that sentinels know. */
export interface RedisTarget {
  /** With nodes or sentinels, only TLS, user, password and (with sentinels) database count. */
  redisUrl: string;
  redisClusterNodes?: readonly ServerAddress[] | undefined;
  redisSentinels?: readonly ServerAddress[] | undefined;
  redisSentinelMaster?: string;
  redisSentinelPassword?: string | undefined;
}

/** The part of the settings that messages may show: "localhost:6379". */
export function redisAddress(target: RedisTarget): string {
  const { redisUrl, redisClusterNodes, redisSentinels, redisSentinelMaster } = target;
  if (redisClusterNodes) return redisClusterNodes.map(formatServer).join(", ");
  if (redisSentinels)
    return `${redisSentinelMaster} (sentinels ${redisSentinels.map(formatServer).join(", ")})`;
  const url = new URL(redisUrl);
  return `${url.hostname || "localhost"}:${url.port || "6379"}`;
}

/** What to do if it cannot be reached. */
export function remedyWhenAway({
  redisClusterNodes,
  redisSentinels,
  redisSentinelMaster,
}: RedisTarget): string {
  if (redisClusterNodes)
    return "Start its nodes; a failover takes seconds. redis-cli CLUSTER NODES shows which are down";
  if (redisSentinels)
    return `Start its servers; a failover takes seconds. redis-cli -h ${redisSentinels[0]?.host} -p ${redisSentinels[0]?.port} SENTINEL MASTER ${redisSentinelMaster} shows its state`;
  return "Start it with: docker compose up -d redis";
}

export interface OpenOptions extends Pick<
  RedisOptions,
  "commandTimeout" | "connectTimeout" | "maxRetriesPerRequest" | "reconnectOnError" | "socketTimeout"
> {
  enableOfflineQueue: boolean;
  /** The pause before another attempt to connect; null for none. */
  retryStrategy: (attempt: number) => number | null;
  /** How often a command is repeated while the nodes of a cluster change their roles, every 100 ms. */
  maxRedirections: number;
  lazyConnect?: boolean;
}

/** A sentinel that accepts connections but never responds must not keep the others from being asked. */
const SENTINEL_LIMIT_MS = 2_000;

export function openRedis(target: RedisTarget, options: OpenOptions): RedisConnection {
  const { redisUrl, redisClusterNodes, redisSentinels, redisSentinelMaster, redisSentinelPassword } = target;
  const { maxRedirections, retryStrategy, enableOfflineQueue, lazyConnect = false, ...common } = options;
  const alone = { ...common, retryStrategy, enableOfflineQueue, lazyConnect };
  if (redisClusterNodes)
    return makeLasting(
      new Cluster([...redisClusterNodes], {
        clusterRetryStrategy: retryStrategy,
        enableOfflineQueue,
        lazyConnect,
        maxRedirections,
        // While masters are elected it would fail, and with it be lost the promise of connect(), on which BullMQ waits.
        enableReadyCheck: false,
        // Names are resolved by each connection, so that certificates are checked against them.
        dnsLookup: (name, done) => done(null, name),
        redisOptions: { ...readLogin(redisUrl), ...common },
      }),
    );
  if (redisSentinels) {
    const login = readLogin(redisUrl);
    return new Redis({
      ...login,
      ...alone,
      sentinels: [...redisSentinels],
      name: redisSentinelMaster ?? "mymaster",
      sentinelPassword: redisSentinelPassword,
      sentinelRetryStrategy: retryStrategy,
      sentinelCommandTimeout: SENTINEL_LIMIT_MS,
      ...(login.tls ? { enableTLSForSentinelMode: true, sentinelTLS: {} } : {}),
      // A master that hangs keeps its connections open: the sentinels say when another has taken its place.
      failoverDetector: true,
      Connector: LastingSentinelConnector,
      sentinelReconnectStrategy: retryStrategy,
    });
  }
  return new Redis(redisUrl, alone);
}

function readLogin(redisUrl: string): Pick<RedisOptions, "username" | "password" | "db" | "tls"> {
  const { protocol, username, password, pathname } = new URL(redisUrl);
  return {
    ...(username === "" ? {} : { username: decodeURIComponent(username) }),
    ...(password === "" ? {} : { password: decodeURIComponent(password) }),
    ...(/^\/\d+$/.test(pathname) ? { db: Number(pathname.slice(1)) } : {}),
    ...(protocol === "rediss:" ? { tls: {} } : {}),
  };
}
