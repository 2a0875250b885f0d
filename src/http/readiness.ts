import type { Database } from "../postgres/database.ts";
import { isSettledWithin } from "../process/lifecycle.ts";
import type { RedisState } from "../redis/check.ts";
import { explain } from "../redis/refusal.ts";
import type { RedisWatch } from "../redis/watch.ts";

export interface Readiness {
  isReady: boolean;
  postgres: "up" | "down";
  redis: "up" | "down";
  /** Why Redis refuses writes although it is up; absent otherwise. */
  reason?: string;
}

/** A healthy server replies within milliseconds; a health check waits this long at most. */
const RESPONSE_LIMIT_MS = 1_000;

/** Checks both servers in parallel. */
export async function checkReadiness(database: Database, watch: RedisWatch): Promise<Readiness> {
  const [isPostgresUp, redis] = await Promise.all([
    isResponsive(() => database.ping()),
    fetchRedisState(watch),
  ]);
  return {
    isReady: isPostgresUp && redis.kind === "ready",
    postgres: isPostgresUp ? "up" : "down",
    redis: redis.kind === "away" ? "down" : "up",
    ...(redis.kind === "refusing" ? { reason: explain(redis.refusal) } : {}),
  };
}

/** Whether Redis accepts writes; "away" if it does not reply in time. */
export async function fetchRedisState(watch: RedisWatch): Promise<RedisState> {
  const reply = watch.check();
  return (await isSettledWithin(reply, RESPONSE_LIMIT_MS))
    ? reply
    : { kind: "away", error: new Error(`no response within ${RESPONSE_LIMIT_MS} ms`) };
}

/** Whether a server replies in time and without an error. */
export async function isResponsive(request: () => Promise<unknown>): Promise<boolean> {
  const hasResponded = request().then(
    () => true,
    () => false,
  );
  return (await isSettledWithin(hasResponded, RESPONSE_LIMIT_MS)) && hasResponded;
}
