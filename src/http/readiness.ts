import type { Redis } from "ioredis";
import { isSettledWithin } from "../lifecycle.ts";
import type { Database } from "../postgres/database.ts";

export interface Readiness {
  isReady: boolean;
  postgres: "up" | "down";
  redis: "up" | "down";
}

/** Asks both servers, each for two seconds at the most. */
export async function checkReadiness(database: Database, redis: Redis): Promise<Readiness> {
  const [postgres, redisState] = await Promise.all([
    check(() => database.ping()),
    // A command on a lost connection would be refused anyway; this says so without trying.
    check(() => (redis.status === "ready" ? redis.ping() : Promise.reject(new Error("away")))),
  ]);
  return { isReady: postgres === "up" && redisState === "up", postgres, redis: redisState };
}

async function check(ask: () => Promise<unknown>): Promise<"up" | "down"> {
  const answered = ask().then(
    () => true,
    () => false,
  );
  return (await isSettledWithin(answered, 2_000)) && (await answered) ? "up" : "down";
}
