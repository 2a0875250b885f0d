import { Redis } from "ioredis";
import { messageOf, PermanentError, ServerAwayError, TransientError } from "../core/errors.ts";
import { isSettledWithin } from "../process/lifecycle.ts";
import type { ServerState } from "../process/server-state.ts";
import { explain, explainRefusal, findRefusalCode, REDIS_REPLICA, type Refusal } from "./refusal.ts";

/** The part of a Redis URL that messages may show: "localhost:6379". */
export function redisAddress(redisUrl: string): string {
  const url = new URL(redisUrl);
  return `${url.hostname || "localhost"}:${url.port || "6379"}`;
}

/** A page waits no longer than this for a Redis that hangs. */
const PAGE_LIMIT_MS = 3_000;

const PROBE_LIMIT_MS = 5_000;

let connectionCount = 0;

/**
 * A connection that reconnects automatically, and reports to `state` when it is lost and when it is back. With `failFast`,
 * commands fail at once while Redis is away (for web requests); without it they wait (for workers). `onRefusal` is called each
 * time Redis refuses a command of this connection, or of a duplicate of it, because of the state of Redis itself.
 */
export function connectRedis(
  redisUrl: string,
  state: ServerState,
  { failFast, onRefusal = () => {} }: { failFast: boolean; onRefusal?: () => void },
): Redis {
  const redis = new Redis(redisUrl, {
    maxRetriesPerRequest: null,
    enableOfflineQueue: !failFast,
    ...(failFast ? { commandTimeout: PAGE_LIMIT_MS } : {}),
    connectTimeout: 5_000,
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
  redis.on("error", (error: Error) => state.away(source, explainRedisError(error, redisUrl)));
  redis.on("ready", () => state.back(source));
  return redis;
}

/**
 * Connects once, runs `use`, and disconnects.
 * @throws PermanentError for a wrong password; ServerAwayError for a server that cannot be reached or refuses commands.
 */
export async function probeRedis<T>(redisUrl: string, use: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(redisUrl, {
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
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
    throw explainRedisError(reason ?? error, redisUrl);
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

function explainRedisError(error: unknown, redisUrl: string): Error {
  if (error instanceof PermanentError || error instanceof TransientError) return error;
  const address = redisAddress(redisUrl);
  const refusal = explainRefusal(error, address);
  if (refusal !== null) return toError(refusal, error);
  const message = messageOf(error);
  if (/ENOTFOUND|EAI_AGAIN/.test(message)) {
    return new ServerAwayError("UNKNOWN_HOST", `Unknown host in REDIS_URL: ${address}. Correct the name`, {
      cause: error,
    });
  }
  return new ServerAwayError(
    "REDIS_AWAY",
    `Cannot reach Redis at ${address} (${message}). Start it with: docker compose up -d redis`,
    { cause: error },
  );
}
