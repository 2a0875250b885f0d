import { Redis } from "ioredis";
import { PermanentError, ServerAwayError, type TransientError, messageOf } from "../errors.ts";
import type { ServerState } from "../server-state.ts";

/** "localhost:6379" of a Redis URL: what a message may show of it. */
export function redisAddress(redisUrl: string): string {
  const url = new URL(redisUrl);
  return `${url.hostname || "localhost"}:${url.port || "6379"}`;
}

/** Nobody who waits for a page is kept longer by a Redis that hangs. */
const PAGE_LIMIT_MS = 3_000;

let connectionCount = 0;

/**
 * A connection that comes back by itself, and tells `state` when it goes and when it is back. `failFast`: commands fail at
 * once while Redis is away (for web requests); without it they wait (for workers).
 */
export function connectRedis(
  redisUrl: string,
  state: ServerState,
  { failFast }: { failFast: boolean },
): Redis {
  const redis = new Redis(redisUrl, {
    maxRetriesPerRequest: null,
    enableOfflineQueue: !failFast,
    ...(failFast ? { commandTimeout: PAGE_LIMIT_MS } : {}),
    connectTimeout: 5_000,
    retryStrategy: (attempt) => Math.min(2_000, 100 * attempt),
  });
  connectionCount += 1;
  const source = `connection ${connectionCount}`;
  redis.on("error", (error: Error) => state.away(source, explainRedisError(error, redisUrl)));
  redis.on("ready", () => state.back(source));
  return redis;
}

/**
 * Connects once, runs `use`, and disconnects.
 * @throws PermanentError for a wrong password, TransientError for a server that cannot be reached.
 */
export async function probeRedis<T>(redisUrl: string, use: (redis: Redis) => Promise<T>): Promise<T> {
  const redis = new Redis(redisUrl, {
    lazyConnect: true,
    retryStrategy: () => null,
    maxRetriesPerRequest: 0,
    connectTimeout: 5_000,
  });
  // ioredis tells the reason of a failed connection to the listener only; connect() says "Connection is closed."
  let reason: Error | undefined;
  redis.on("error", (error: Error) => (reason ??= error));
  try {
    await redis.connect();
    return await use(redis);
  } catch (error) {
    throw explainRedisError(reason ?? error, redisUrl);
  } finally {
    redis.disconnect();
  }
}

function explainRedisError(error: unknown, redisUrl: string): PermanentError | TransientError {
  const address = redisAddress(redisUrl);
  const message = messageOf(error);
  if (/WRONGPASS|NOAUTH|NOPERM/.test(message)) {
    return new PermanentError(
      "REDIS_LOGIN",
      `Redis at ${address} refuses the login: ${message}. Check the user and password in REDIS_URL`,
      { cause: error },
    );
  }
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
