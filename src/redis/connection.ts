import { messageOf, PermanentError, ServerAwayError, TransientError } from "../core/errors.ts";
import { isSettledWithin } from "../process/lifecycle.ts";
import type { ServerState } from "../process/server-state.ts";
import { formatServer } from "../settings/server-list.ts";
import { explain, explainRefusal, findRefusalCode, REDIS_REPLICA, type Refusal } from "./refusal.ts";
import { openRedis, type RedisConnection, type RedisTarget, redisAddress, remedyWhenAway } from "./target.ts";

/** A page waits no longer than this for a Redis that hangs. */
const PAGE_LIMIT_MS = 3_000;

/**
 * Without a response for so long, a connection is given up for a new one: its server may hang, or be gone without a sign. BullMQ's
 * commands wait for up to ten seconds for a job.
 */
const SILENCE_LIMIT_MS = 15_000;

/** With pauses of 100 ms, so that a page waits about a second for the failover of a cluster. */
const PAGE_REDIRECTIONS = 16;

const PROBE_LIMIT_MS = 5_000;

let connectionCount = 0;

/**
 * A connection that reconnects automatically, and reports to `state` when it is lost and when it is back. With `failFast`,
 * commands fail at once while Redis is away (for web requests); without it they wait (for workers). `onRefusal` is called each
 * time Redis refuses a command of this connection, or of a duplicate of it, because of the state of Redis itself.
 */
export function connectRedis(
  target: RedisTarget,
  state: ServerState,
  { failFast, onRefusal = () => {} }: { failFast: boolean; onRefusal?: () => void },
): RedisConnection {
  const redis = openRedis(target, {
    maxRetriesPerRequest: null,
    enableOfflineQueue: !failFast,
    ...(failFast ? { commandTimeout: PAGE_LIMIT_MS } : {}),
    maxRedirections: failFast ? PAGE_REDIRECTIONS : Number.POSITIVE_INFINITY,
    connectTimeout: 5_000,
    socketTimeout: SILENCE_LIMIT_MS,
    retryStrategy: (attempt) => Math.min(2_000, 100 * attempt),
    reconnectOnError(error) {
      const code = findRefusalCode(error);
      if (code !== null) onRefusal();
      // After a failover the same address leads to the new master, but only for new connections.
      return code === REDIS_REPLICA;
    },
  });
  connectionCount += 1;
  const source = `connection ${connectionCount}`;
  redis.on("error", (error: Error) => state.away(source, explainRedisError(error, target)));
  redis.on("ready", () => state.back(source));
  return redis;
}

/**
 * Connects once, runs `use`, and disconnects.
 * @throws PermanentError for a wrong password; ServerAwayError for a server that cannot be reached or refuses commands.
 */
export async function probeRedis<T>(
  target: RedisTarget,
  use: (redis: RedisConnection) => Promise<T>,
): Promise<T> {
  const redis = openRedis(target, {
    lazyConnect: true,
    enableOfflineQueue: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    maxRedirections: PAGE_REDIRECTIONS,
    connectTimeout: 5_000,
    // A server that accepts connections but never responds must not block a start or a command.
    commandTimeout: PROBE_LIMIT_MS,
  });
  // ioredis passes the reason for a failed connection only to the listener; connect() only reports "Connection is closed."
  let reason: Error | undefined;
  redis.on("error", (error: Error) => (reason ??= error));
  try {
    const connecting = redis.connect();
    const isSettled = await isSettledWithin(connecting, PROBE_LIMIT_MS);
    if (!isSettled) throw new Error(`no response within ${PROBE_LIMIT_MS} ms`);
    await connecting;
    return await use(redis);
  } catch (error) {
    throw explainRedisError(reason ?? error, target);
  } finally {
    redis.disconnect();
  }
}

/** The refusal as an error, permanent if waiting would not help. */
export function toError(refusal: Refusal, cause?: unknown): Error {
  const { code, isPermanent } = refusal;
  const message = explain(refusal);
  return isPermanent
    ? new PermanentError(code, message, { cause })
    : new ServerAwayError(code, message, { cause });
}

/** The error as one that says what to do. */
export function explainRedisError(error: unknown, target: RedisTarget): Error {
  if (error instanceof PermanentError || error instanceof TransientError) return error;
  const address = redisAddress(target);
  const cause = causeOf(error);
  const refusal = explainRefusal(cause, { address, isCluster: target.redisClusterNodes !== undefined });
  if (refusal !== null) return toError(refusal, error);
  const message = messageOf(cause);
  const { redisSentinels, redisSentinelMaster } = target;
  if (redisSentinels && /No such master with that name|unknown command/.test(message)) {
    const what = message.includes("No such master")
      ? `knows no master "${redisSentinelMaster}". Correct REDIS_SENTINEL_MASTER`
      : "is no sentinel. Correct REDIS_SENTINELS";
    return new ServerAwayError(
      "REDIS_AWAY",
      `A server of ${redisSentinels.map(formatServer).join(", ")} ${what}`,
      { cause: error },
    );
  }
  if (/ENOTFOUND|EAI_AGAIN/.test(message)) {
    const variable = target.redisClusterNodes
      ? "REDIS_CLUSTER_NODES"
      : target.redisSentinels
        ? "REDIS_SENTINELS"
        : "REDIS_URL";
    return new ServerAwayError("UNKNOWN_HOST", `Unknown host in ${variable}: ${address}. Correct the name`, {
      cause: error,
    });
  }
  if (/certificate/.test(message)) {
    return new ServerAwayError(
      "REDIS_CERTIFICATE",
      `The certificate of Redis at ${address} is not trusted (${message}). Name the file of its authority in NODE_EXTRA_CA_CERTS`,
      { cause: error },
    );
  }
  return new ServerAwayError(
    "REDIS_AWAY",
    `Cannot reach Redis at ${address} (${message}). ${remedyWhenAway(target)}`,
    { cause: error },
  );
}

/** A cluster that cannot be reached carries the error of the node that was tried last. */
function causeOf(error: unknown): unknown {
  return error instanceof Error && "lastNodeError" in error ? (error.lastNodeError ?? error) : error;
}
