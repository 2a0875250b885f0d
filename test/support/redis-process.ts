import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { Redis, type RedisOptions } from "ioredis";
import { spawnServer, stopProcess, waitUntilUp } from "../../src/embedded/server-process.ts";
import { reservePort } from "./ports.ts";
import { SCRATCH } from "./scratch.ts";
import { findProgram } from "../../src/process/find-program.ts";
import type { ServerAddress } from "../../src/settings/server-list.ts";

/** A Redis process that keeps its port and its files when it is started again. */
export interface RedisProcess extends ServerAddress {
  /** A connection for the administration of the server. */
  admin: Redis;
  isRunning(): boolean;
  start(): Promise<void>;
  /** Ends it at once, so that it neither saves its data nor says that it leaves. */
  kill(): Promise<void>;
  pause(): void;
  resume(): void;
  /** Ends it and removes its files. */
  stop(): Promise<void>;
}

/** How a process is told from plain Redis: more lines of its settings, the login of its administrator, its mode. */
export interface RedisProcessOptions {
  lines?: readonly string[];
  login?: Pick<RedisOptions, "username" | "password" | "tls">;
  isSentinel?: boolean;
}

/** The name of connections that administer a server. */
export const ADMIN = "administrator";

const HOST = "127.0.0.1";

/** `TEST_REDIS_SERVER` names another program than redis-server: Valkey's, for instance. */
const PROGRAM =
  process.env["TEST_REDIS_SERVER"] ?? findProgram(["redis-server", "valkey-server"]) ?? "redis-server";

/** @param settings Lines of redis.conf, by their first word. */
export async function createRedisProcess(
  settings: Readonly<Record<string, string>>,
  { lines = [], login = {}, isSentinel = false }: RedisProcessOptions = {},
): Promise<RedisProcess> {
  const directory = await mkdtemp(join(SCRATCH, `servers-${process.pid}-redis-`));
  const port = await reservePort();
  const file = join(directory, "redis.conf");
  const all = { port: String(port), bind: HOST, dir: directory, ...settings };
  const text = [...Object.entries(all).map(([name, value]) => `${name} ${value}`), ...lines].join("\n");
  await writeFile(file, `${text}\n`);
  const admin = new Redis({
    host: HOST,
    port,
    lazyConnect: true,
    retryStrategy: () => 50,
    maxRetriesPerRequest: 1,
    enableReadyCheck: false,
    connectionName: ADMIN,
    ...login,
  });
  admin.on("error", () => {});
  let server: ReturnType<typeof spawnServer> | undefined;
  const kill = async (): Promise<void> => {
    if (server) await stopProcess(server.child, "SIGKILL");
    server = undefined;
  };
  return {
    host: HOST,
    port,
    admin,
    isRunning: () => server !== undefined,
    async start() {
      server = spawnServer(PROGRAM, [file, ...(isSentinel ? ["--sentinel"] : [])], {
        rootDrop: null,
        deathSignal: "SIGKILL",
      });
      await waitUntilUp(server, () => admin.ping());
    },
    kill,
    pause: () => void server?.child.kill("SIGSTOP"),
    resume: () => void server?.child.kill("SIGCONT"),
    async stop() {
      admin.disconnect();
      await kill();
      await rm(directory, { recursive: true, force: true });
    },
  };
}
