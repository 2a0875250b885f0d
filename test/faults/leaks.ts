import { Redis } from "ioredis";
import type { EmbeddedServers } from "../../src/embedded/servers.ts";
import type { RedisConnection } from "../../src/redis/target.ts";
import { FAKE_TOKEN } from "../github/fake-github.ts";
import { queryOnce } from "../support/database-url.ts";
import type { ReplicatedRedis } from "../support/replicated-redis.ts";
import { dumpRedis, dumpTables } from "../support/secrets.ts";
import { ADMIN } from "../support/redis-process.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** Finds secrets where others may read them: in logs, jobs and rows. */
export async function findSecrets({
  workers,
  redis,
  directUrl,
  settings,
}: {
  workers: WorkerProcess[];
  redis: RedisConnection;
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
  {
    servers: { databaseUrl, redisUrl },
    replicated,
  }: { servers: EmbeddedServers; replicated: ReplicatedRedis | null },
  database: string,
): Promise<string[]> {
  const redis = new Redis(redisUrl, { connectionName: ADMIN });
  const admins = replicated?.servers.map(({ admin }) => admin) ?? [redis];
  try {
    for (let attempt = 1; ; attempt += 1) {
      const found: string[] = [];
      const sessions = await queryOnce(databaseUrl, "SELECT FROM pg_stat_activity WHERE datname = $1", [
        database,
      ]);
      if (sessions.length > 0) found.push(`${sessions.length} connections to Postgres are left`);
      const clients = (await Promise.all(admins.map(countClients))).reduce((sum, count) => sum + count);
      if (clients > 0) found.push(`${clients} connections to Redis are left`);
      if (found.length === 0 || attempt === 50) return found;
      // The servers notice a closed connection with a short delay.
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  } finally {
    redis.disconnect();
  }
}

/** Counts connections of our processes: not those of administrators, of sentinels, and between the servers. */
async function countClients(admin: Redis): Promise<number> {
  const lines = String(await admin.client("LIST"))
    .trim()
    .split("\n");
  return lines.filter((line) => !new RegExp(` name=(${ADMIN}|sentinel-\\S*) | flags=[SM]`).test(line)).length;
}
