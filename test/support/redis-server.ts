import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { Redis } from "ioredis";
import { findFreePort, spawnServer, stopProcess, waitUntilUp } from "../../src/embedded/server-process.ts";
import { probeRedis } from "../../src/redis/connection.ts";
import { SCRATCH } from "./scratch.ts";

/** A separate Redis for one test, whose settings the test may break. */
export interface RedisServer {
  url: string;
  port: number;
  /** A connection for the test's administration of the server. */
  admin: Redis;
  stop(): Promise<void>;
}

export async function startRedisServer(settings: Record<string, string> = {}): Promise<RedisServer> {
  const directory = await mkdtemp(join(SCRATCH, `servers-${process.pid}-redis-`));
  const port = await findFreePort();
  const all = { port: String(port), bind: "127.0.0.1", dir: directory, save: "", ...settings };
  const args = Object.entries(all).flatMap(([name, value]) => [`--${name}`, value]);
  const server = spawnServer("redis-server", args, { rootDrop: null, deathSignal: "SIGKILL" });
  const url = `redis://127.0.0.1:${port}`;
  await waitUntilUp(server, () => probeRedis({ redisUrl: url }, (redis) => redis.ping()));
  const admin = new Redis(url);
  return {
    url,
    port,
    admin,
    async stop() {
      admin.disconnect();
      await stopProcess(server.child, "SIGKILL");
      await rm(directory, { recursive: true, force: true });
    },
  };
}
