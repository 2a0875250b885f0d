import { chmod, mkdir, mkdtemp, readdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { startPostgres } from "./postgres.ts";
import { startRedis } from "./redis.ts";
import type { EmbeddedServer } from "./server-process.ts";

export interface EmbeddedServers {
  databaseUrl: string;
  redisUrl: string;
  stop(): Promise<void>;
}

/**
 * Starts, in parallel, the servers that are not given, in a new directory. `stop` removes it.
 *
 * @param parent Where the new directory is created.
 */
export async function startEmbeddedServers({
  databaseUrl,
  redisUrl,
  isDurable,
  parent = ".data",
  say,
}: {
  databaseUrl?: string | undefined;
  redisUrl?: string | undefined;
  isDurable: boolean;
  parent?: string;
  say: (line: string) => void;
}): Promise<EmbeddedServers> {
  await mkdir(parent, { recursive: true });
  await removeLeftovers(parent);
  const directory = await mkdtemp(join(resolve(parent), `servers-${process.pid}-`));
  // Postgres may have to run as another user, who must be able to enter.
  await chmod(directory, 0o711);
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

/** Removes the files of processes that ended without removing them. Their servers ended with them. */
async function removeLeftovers(parent: string): Promise<void> {
  for (const name of await readdir(parent)) {
    const pid = /^servers-(\d+)-/.exec(name)?.[1];
    if (pid !== undefined && !isRunning(Number(pid)))
      await rm(join(parent, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    // Signal 0 only checks whether the process exists.
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === "EPERM";
  }
}

/** A server that this process neither starts nor stops. */
async function given(url: string): Promise<EmbeddedServer> {
  return { url, stop: async () => {} };
}
