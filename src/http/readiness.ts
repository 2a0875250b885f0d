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

/** A healthy server replies within milliseconds; a health check waits no longer than this. */
const ANSWER_LIMIT_MS = 1_000;

/** Checks both servers in parallel. */
export async function checkReadiness(database: Database, watch: RedisWatch): Promise<Readiness> {
  const [isPostgresUp, redis] = await Promise.all([answers(() => database.ping()), askRedis(watch)]);
  return {
    isReady: isPostgresUp && redis.kind === "ready",
    postgres: isPostgresUp ? "up" : "down",
    redis: redis.kind === "away" ? "down" : "up",
    ...(redis.kind === "refusing" ? { reason: explain(redis.refusal) } : {}),
  };
}

/** Whether Redis takes writes; "away" if there is no reply in time. */
export async function askRedis(watch: RedisWatch): Promise<RedisState> {
  const asked = watch.check();
  return (await isSettledWithin(asked, ANSWER_LIMIT_MS))
    ? asked
    : { kind: "away", error: new Error(`no answer in ${ANSWER_LIMIT_MS} ms`) };
}

/** Whether a server replies in time and without an error. */
export async function answers(ask: () => Promise<unknown>): Promise<boolean> {
  const answered = ask().then(
    () => true,
    () => false,
  );
  return (await isSettledWithin(answered, ANSWER_LIMIT_MS)) && answered;
}
