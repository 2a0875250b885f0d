import type { Redis } from "ioredis";
import { isSettledWithin } from "../lifecycle.ts";
import type { Database } from "../postgres/database.ts";

export interface Readiness {
  isReady: boolean;
  postgres: "up" | "down";
  redis: "up" | "down";
}

/** A server that works answers within milliseconds; longer, nobody who asks is kept. */
const ANSWER_LIMIT_MS = 1_000;

/** Asks both servers at once. */
export async function checkReadiness(database: Database, redis: Redis): Promise<Readiness> {
  const [isPostgresUp, isRedisUp] = await Promise.all([answers(() => database.ping()), isRedisThere(redis)]);
  return {
    isReady: isPostgresUp && isRedisUp,
    postgres: isPostgresUp ? "up" : "down",
    redis: isRedisUp ? "up" : "down",
  };
}

export async function isRedisThere(redis: Redis): Promise<boolean> {
  // A command on a lost connection would be refused anyway; this says so without trying.
  return redis.status === "ready" && (await answers(() => redis.ping()));
}

/** Whether a server answers, at once and without an error. */
export async function answers(ask: () => Promise<unknown>): Promise<boolean> {
  const answered = ask().then(
    () => true,
    () => false,
  );
  return (await isSettledWithin(answered, ANSWER_LIMIT_MS)) && answered;
}
