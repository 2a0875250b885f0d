import { Redis } from "ioredis";
import type { EmbeddedServers } from "../../src/embedded/servers.ts";
import { FAKE_TOKEN } from "../github/fake-github.ts";
import { queryOnce } from "../support/database-url.ts";
import { dumpRedis, dumpTables } from "../support/secrets.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** Finds secrets where others may read them: in logs, jobs and rows. */
export async function findSecrets({
  workers,
  redis,
  directUrl,
  settings,
}: {
  workers: WorkerProcess[];
  redis: Redis;
  directUrl: string;
  settings: Record<string, string>;
}): Promise<string[]> {
  const places = {
    "a log": JSON.stringify(workers.map(({ lines }) => lines)),
    Redis: await dumpRedis(redis, settings["REDIS_PREFIX"] ?? ""),
    Postgres: await dumpTables((text, values) => queryOnce(directUrl, text, values)),
  };
  const secrets = { "the token": FAKE_TOKEN, "the password": new URL(directUrl).password };
  return Object.entries(places).flatMap(([place, text]) =>
    Object.entries(secrets).flatMap(([name, secret]) =>
      text.includes(secret) ? [`${name} appears in ${place}`] : [],
    ),
  );
}

/** Finds connections of our processes that remain after all of the processes have ended. */
export async function findOpenConnections(
  { databaseUrl, redisUrl }: EmbeddedServers,
  database: string,
): Promise<string[]> {
  const redis = new Redis(redisUrl);
  try {
    for (let attempt = 1; ; attempt += 1) {
      const found: string[] = [];
      const sessions = await queryOnce(databaseUrl, "SELECT FROM pg_stat_activity WHERE datname = $1", [
        database,
      ]);
      if (sessions.length > 0) found.push(`${sessions.length} connections to Postgres are left`);
      const clients = ((await redis.client("LIST")) as string).trim().split("\n").length;
      if (clients > 1) found.push(`${clients - 1} connections to Redis are left`);
      if (found.length === 0 || attempt === 50) return found;
      // The servers notice a closed connection with a short delay.
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  } finally {
    redis.disconnect();
  }
}
