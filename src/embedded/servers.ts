import { mkdir, mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { startPostgres } from "./postgres.ts";
import { startRedis } from "./redis.ts";
import type { EmbeddedServer } from "./server-process.ts";

export interface EmbeddedServers {
  databaseUrl: string;
  redisUrl: string;
  stop(): Promise<void>;
}

/**
 * Starts the servers that are not given, side by side, in a new directory below `.data/` of the working directory, which
 * `stop` removes.
 */
export async function startEmbeddedServers({
  databaseUrl,
  redisUrl,
  isDurable,
  say,
}: {
  databaseUrl?: string | undefined;
  redisUrl?: string | undefined;
  isDurable: boolean;
  say: (line: string) => void;
}): Promise<EmbeddedServers> {
  await mkdir(".data", { recursive: true });
  const directory = await mkdtemp(join(process.cwd(), ".data", "servers-"));
  const starting = await Promise.allSettled([
    databaseUrl === undefined ? startPostgres(directory, { isDurable }) : given(databaseUrl),
    redisUrl === undefined ? startRedis(directory, say) : given(redisUrl),
  ]);
  const stop = async (): Promise<void> => {
    const started = starting.filter((server) => server.status === "fulfilled");
    await Promise.all(started.map(({ value }) => value.stop()));
    await rm(directory, { recursive: true, force: true });
  };
  const [postgres, redis] = starting;
  if (postgres.status === "fulfilled" && redis.status === "fulfilled") {
    return { databaseUrl: postgres.value.url, redisUrl: redis.value.url, stop };
  }
  await stop();
  throw postgres.status === "rejected" ? postgres.reason : (redis as PromiseRejectedResult).reason;
}

/** A server that somebody else started, and will stop. */
async function given(url: string): Promise<EmbeddedServer> {
  return { url, stop: async () => {} };
}
