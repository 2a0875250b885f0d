import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { createWriteStream, type WriteStream } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { Redis } from "ioredis";
import { parseConfig } from "../../src/config/config.ts";
import { SOURCE_TABLES } from "../../src/embedded/sample-data.ts";
import { type EmbeddedServers, startEmbeddedServers } from "../../src/embedded/servers.ts";
import { createLogger } from "../../src/process/logger.ts";
import { type Client as Producer, createClient } from "../../src/use-cases/client.ts";
import { FAKE_TOKEN, type FakeGitHub, startFakeGitHub } from "../github/fake-github.ts";
import { runOurs } from "../support/process.ts";
import { dumpRedis, dumpTables } from "../support/secrets.ts";
import type { WorkerFaults } from "./faulty-worker.ts";
import { controlPostgres, controlRedis, queryOnce, type ServerControl } from "./servers.ts";
import { createTcpProxy, type TcpProxy } from "./tcp-proxy.ts";

/** Two servers of one's own, with a wire to each that can be cut; one run after the other is made on them. */
export interface Lane {
  postgres: ServerControl & { wire: TcpProxy };
  redis: ServerControl & { wire: TcpProxy };
  /** Makes a database and a queue prefix for one run. */
  openField(options: FieldOptions): Promise<Field>;
  close(): Promise<void>;
}

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

export interface WorkerProcess {
  child: ChildProcess;
  /** What it logged, one parsed line each. */
  lines: Record<string, unknown>[];
  hasEnded(): boolean;
  ended: Promise<unknown>;
}

let laneCount = 0;

/** @param root The code that the workers run: ours, or a mutant's. */
export async function openLane(root = process.cwd()): Promise<Lane> {
  laneCount += 1;
  const name = `lane${laneCount}`;
  const servers = await startEmbeddedServers({ isDurable: true, say: console.log });
  const postgres = await controlPostgres(servers.databaseUrl);
  const redis = await controlRedis(servers.redisUrl);
  const wires = {
    postgres: await createTcpProxy(servers.databaseUrl),
    redis: await createTcpProxy(servers.redisUrl),
  };
  const directory = join(process.cwd(), ".data", "faults", `${process.pid}-${name}`);
  await mkdir(directory, { recursive: true });
  await makeTemplate(servers, root);
  const workers: WorkerProcess[] = [];
  let fieldCount = 0;
  return {
    postgres: { ...postgres, wire: wires.postgres },
    redis: { ...redis, wire: wires.redis },
    openField(options) {
      fieldCount += 1;
      return openField({ root, servers, wires, directory, workers, name: `field${fieldCount}` }, options);
    },
    async close() {
      // Those of a field that a failed test left open.
      for (const { child } of workers) child.kill("SIGKILL");
      await wires.postgres.close();
      await wires.redis.close();
      await postgres.stop();
      await redis.stop();
      await servers.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Takes one of the lanes, once one is free; whoever takes it puts it back. */
export async function takeLane(lanes: Lane[]): Promise<Lane> {
  for (;;) {
    const lane = lanes.pop();
    if (lane) return lane;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

const TEMPLATE = "field_template";

async function makeTemplate({ databaseUrl }: EmbeddedServers, root: string): Promise<void> {
  await queryOnce(databaseUrl, `CREATE DATABASE ${TEMPLATE}`);
  const url = withDatabase(databaseUrl, TEMPLATE);
  await queryOnce(url, SOURCE_TABLES);
  await queryOnce(
    url,
    `INSERT INTO drift_alerts (alert_date, feature_name, drift_score, threshold, alert_triggered)
       SELECT now() AT TIME ZONE 'UTC', 'rating_distribution_ks', 0.0975, 0.05, true;
       INSERT INTO ratings_buffer SELECT n, n, 3.5, n, 'batch_w1' FROM generate_series(1, 100) n`,
  );
  const { code, stderr } = await runOurs(join(root, "src/cli.ts"), ["migrate"], {
    DATABASE_URL: url,
    REDIS_URL: "redis://127.0.0.1:1",
  });
  if (code !== 0) throw new Error(`the template was not migrated: ${stderr}`);
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

async function openField(place: FieldPlace, options: FieldOptions): Promise<Field> {
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

function spawnWorker(root: string, logFile: WriteStream, settings: Record<string, string>): WorkerProcess {
  const child = spawn(process.execPath, ["--import", "tsx", join(root, "test/faults/faulty-worker.ts")], {
    env: { PATH: process.env["PATH"], TSX_DISABLE_CACHE: "1", NODE_ENV: "test", ...settings },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const lines: Record<string, unknown>[] = [];
  let text = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    logFile.write(chunk);
    const parts = (text + chunk.toString()).split("\n");
    text = parts.pop() ?? "";
    lines.push(...parts.map((line) => JSON.parse(line) as Record<string, unknown>));
  });
  child.stderr?.on("data", (chunk: Buffer) => {
    logFile.write(chunk);
    lines.push({ msg: chunk.toString() });
  });
  return {
    child,
    lines,
    hasEnded: () => child.exitCode !== null || child.signalCode !== null,
    ended: once(child, "exit"),
  };
}

async function untilReady(worker: WorkerProcess): Promise<void> {
  while (!worker.hasEnded() && !worker.lines.some(({ msg }) => msg === "Retrigger is ready"))
    await new Promise((resolve) => setTimeout(resolve, 20));
}

/** Stops the workers as an operator does. Answers those that ended by themselves before, and those that would not end. */
async function stopWorkers(workers: WorkerProcess[]): Promise<string[]> {
  const leaks: string[] = [];
  for (const { child, lines, hasEnded, ended } of workers) {
    if (hasEnded()) {
      if (child.signalCode !== "SIGKILL")
        leaks.push(`a worker ended by itself (${child.exitCode}): ${String(lines.at(-1)?.["msg"])}`);
      continue;
    }
    child.kill("SIGTERM");
    const timer = setTimeout(() => {
      leaks.push("a worker did not end on SIGTERM");
      child.kill("SIGKILL");
    }, 30_000);
    await ended;
    clearTimeout(timer);
  }
  return leaks;
}

/** Secrets that stand where others may read them: in logs, jobs and rows. */
async function findSecrets({
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
      text.includes(secret) ? [`${name} stands in ${place}`] : [],
    ),
  );
}

/** Connections of our processes that are left in the servers, when all of those have ended. */
async function findOpenConnections(
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
      // The servers notice a closed connection a moment later.
      await new Promise((resolve) => setTimeout(resolve, 100));
    }
  } finally {
    redis.disconnect();
  }
}

function withDatabase(databaseUrl: string, name: string): string {
  const url = new URL(databaseUrl);
  url.pathname = `/${name}`;
  return url.href;
}
