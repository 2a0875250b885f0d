import { createWriteStream } from "node:fs";
import { join } from "node:path";
import { Redis } from "ioredis";
import { createClient, type Client as Producer } from "../../src/use-cases/client.ts";
import { parseConfig } from "../../src/config/config.ts";
import type { EmbeddedServers } from "../../src/embedded/servers.ts";
import { createLogger } from "../../src/process/logger.ts";
import { FAKE_TOKEN, type FakeGitHub, startFakeGitHub } from "../github/fake-github.ts";
import type { WorkerFaults } from "./faulty-worker.ts";
import { findOpenConnections, findSecrets } from "./leaks.ts";
import { queryOnce, withDatabase } from "./servers.ts";
import type { TcpProxy } from "./tcp-proxy.ts";
import { TEMPLATE } from "./template.ts";
import { spawnWorker, stopWorkers, untilReady, type WorkerProcess } from "./worker-process.ts";

export interface FieldOptions {
  settings?: Record<string, string>;
  /** How long gather's reading takes at the least. */
  readingMs?: number;
  /** How the GitHub behaves that trains. */
  github?: Partial<FakeGitHub>;
}

/** Where one run takes place. */
export interface Field {
  settings: Record<string, string>;
  producer: Producer;
  redis: Redis;
  /** Asks Postgres by a way that no fault lies on. */
  sql<Row extends object = Record<string, unknown>>(text: string, values?: unknown[]): Promise<Row[]>;
  /** The trainer; it outlives every process that asks it. */
  github: FakeGitHub;
  /** For files of this run. */
  directory: string;
  /** Starts a worker process; settles when it is ready, or has ended. */
  startWorker(faults?: Partial<WorkerFaults>, settings?: Record<string, string>): Promise<WorkerProcess>;
  /** Stops what still runs; answers what did not end as it should. */
  close(): Promise<string[]>;
}

interface FieldPlace {
  root: string;
  servers: EmbeddedServers;
  wires: { postgres: TcpProxy; redis: TcpProxy };
  directory: string;
  /** Every worker of the lane. */
  workers: WorkerProcess[];
  name: string;
}

export async function openField(place: FieldPlace, options: FieldOptions): Promise<Field> {
  const { servers, wires, directory, name } = place;
  await queryOnce(servers.databaseUrl, `CREATE DATABASE ${name} TEMPLATE ${TEMPLATE}`);
  const directUrl = withDatabase(servers.databaseUrl, name);
  await queryOnce(
    directUrl,
    `CREATE VIEW slow_buffer AS SELECT ratings_buffer.* FROM ratings_buffer, pg_sleep(${(options.readingMs ?? 0) / 1000})`,
  );
  const github = await startFakeGitHub(options.github);
  const settings = {
    DATABASE_URL: withDatabase(wires.postgres.url, name),
    REDIS_URL: wires.redis.url,
    REDIS_PREFIX: `{${name}}`,
    RATINGS_BUFFER_TABLE: "slow_buffer",
    MIN_BUFFER_SIZE: "0",
    SCHEDULE: "off",
    ROLE: "worker",
    LOCK_TTL_MS: "3000",
    LOG_LEVEL: "info",
    TRAINER: "github",
    GITHUB_TOKEN: FAKE_TOKEN,
    GITHUB_REPO_OWNER: "YOUR_USER",
    GITHUB_REPO_NAME: "cinematch",
    GITHUB_API_URL: github.url,
    TRAINING_POLL_SECONDS: "1",
    ...options.settings,
  };
  const silent = createLogger("silent");
  // The producer goes straight to Redis: an event that was not accepted cannot be lost.
  const producer = createClient({ ...parseConfig(settings), redisUrl: servers.redisUrl }, silent);
  const redis = new Redis(servers.redisUrl);
  redis.on("error", () => {});
  const workers: WorkerProcess[] = [];
  const logFile = createWriteStream(join(directory, `${name}.log`));
  return {
    settings,
    producer,
    redis,
    github,
    directory,
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
      leaks.push(...(await findOpenConnections(servers, name)));
      await queryOnce(servers.databaseUrl, `DROP DATABASE ${name} WITH (FORCE)`);
      return leaks;
    },
  };
}
