import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { parseConfig } from "../../src/config/config.ts";
import type { EmbeddedServers } from "../../src/embedded/servers.ts";
import { createLogger } from "../../src/process/logger.ts";
import { openRedis, type RedisConnection } from "../../src/redis/target.ts";
import { type Client as Producer, createClient } from "../../src/use-cases/client.ts";
import { gitHubSettings, type FakeGitHub, startFakeGitHub } from "../github/fake-github.ts";
import { queryOnce, withDatabase } from "../support/database-url.ts";
import type { ReplicatedRedis } from "../support/replicated-redis.ts";
import type { WorkerFaults } from "./faulty-worker.ts";
import { findOpenConnections, findSecrets } from "./leaks.ts";
import type { TcpProxy } from "./tcp-proxy.ts";
import { TEMPLATE } from "./template.ts";
import { spawnWorker, stopWorkers, untilReady, type WorkerProcess } from "./worker-process.ts";

export interface SandboxOptions {
  settings?: Record<string, string>;
  /** How long gather takes at least to read its evidence. */
  readingMs?: number;
  /** How GitHub behaves. */
  github?: Partial<FakeGitHub>;
}

/** The environment of one run: a database, a queue prefix, a trainer and worker processes. */
export interface Sandbox {
  settings: Record<string, string>;
  producer: Producer;
  redis: RedisConnection;
  /** The database, unaffected by faults. */
  directUrl: string;
  /** Queries Postgres directly, unaffected by faults. */
  sql<Row extends object = Record<string, unknown>>(text: string, values?: unknown[]): Promise<Row[]>;
  /** The trainer; it outlives every worker process. */
  github: FakeGitHub;
  /** A directory for files of this run. */
  directory: string;
  /** Starts a worker process, and resolves once it is ready or has ended. */
  startWorker(faults?: Partial<WorkerFaults>, settings?: Record<string, string>): Promise<WorkerProcess>;
  /** Stops what still runs, and returns what did not end as it should. */
  close(): Promise<string[]>;
}

interface SandboxPlace {
  root: string;
  servers: EmbeddedServers;
  proxies: { postgres: TcpProxy; redis: TcpProxy };
  replicated: ReplicatedRedis | null;
  directory: string;
  /** Every worker of the lane. */
  workers: WorkerProcess[];
  name: string;
}

export async function openSandbox(place: SandboxPlace, options: SandboxOptions): Promise<Sandbox> {
  const { servers, proxies, replicated, directory, name } = place;
  await queryOnce(servers.databaseUrl, `CREATE DATABASE ${name} TEMPLATE ${TEMPLATE} STRATEGY FILE_COPY`);
  const directUrl = withDatabase(servers.databaseUrl, name);
  await queryOnce(
    directUrl,
    `CREATE VIEW slow_buffer AS SELECT ratings_buffer.* FROM ratings_buffer, pg_sleep(${(options.readingMs ?? 0) / 1000})`,
  );
  const github = await startFakeGitHub(options.github);
  const settings = {
    DATABASE_URL: withDatabase(proxies.postgres.url, name),
    ...(replicated?.settings ?? { REDIS_URL: proxies.redis.url }),
    REDIS_PREFIX: `{${name}}`,
    RATINGS_BUFFER_TABLE: "slow_buffer",
    MIN_BUFFER_SIZE: "0",
    SCHEDULE: "off",
    ROLE: "worker",
    LOCK_TTL_MS: "3000",
    LOG_LEVEL: "info",
    ...gitHubSettings(github),
    TRAINING_POLL_SECONDS: "1",
    ...options.settings,
  };
  const silent = createLogger("silent");
  // The producer connects directly to Redis, because an event that was not accepted cannot be lost.
  const direct = parseConfig(replicated ? settings : { ...settings, REDIS_URL: servers.redisUrl });
  const producer = createClient(direct, silent);
  const redis = openRedis(direct, {
    enableOfflineQueue: true,
    retryStrategy: (attempt) => Math.min(2_000, 50 * attempt),
    maxRedirections: Number.POSITIVE_INFINITY,
  });
  redis.on("error", () => {});
  const workers: WorkerProcess[] = [];
  const logFile = createWriteStream(join(directory, `${name}.log`));
  return {
    settings,
    producer,
    redis,
    github,
    directory,
    directUrl,
    sql: (text, values) => queryOnce(directUrl, text, values),
    async startWorker(faults = {}, changes = {}) {
      const worker = spawnWorker(place.root, logFile, {
        ...settings,
        ...changes,
        FAULTS: JSON.stringify(faults satisfies WorkerFaults),
      });
      workers.push(worker);
      place.workers.push(worker);
      await Promise.race([worker.ended, untilReady(worker)]);
      return worker;
    },
    async close() {
      const leaks = await stopWorkers(workers);
      leaks.push(...(await findSecrets({ workers, redis, directUrl, settings })));
      await producer.close();
      await github.close();
      redis.disconnect();
      logFile.end();
      leaks.push(...(await findOpenConnections(place, name)));
      await queryOnce(servers.databaseUrl, `DROP DATABASE ${name} WITH (FORCE)`);
      return leaks;
    },
  };
}
