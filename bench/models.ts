import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Queue } from "bullmq";
import { Redis } from "ioredis";
import { Client } from "pg";
import { INBOX, INBOX_JOBS } from "../queues/names.ts";
import { JOB_OPTIONS } from "../queues/options.ts";
import { SOURCE_TABLES } from "../src/embedded/sample-data.ts";
import { startEmbeddedServers } from "../src/embedded/servers.ts";
import { createReleasers } from "../src/process/lifecycle.ts";
import { createLogger } from "../src/process/logger.ts";

/**
 * Measures one worker process with 2,000 models: `npm run bench:models`. It starts its own servers, unless BENCH_DATABASE_URL (a
 * database that may be filled) and BENCH_REDIS_URL are set.
 */
const MODELS = 2_000;
/** How many models the changed file changes, adds and removes. */
const CHANGED = 100;
const PREFIX = "{bench_models}";
const LIMIT_MS = 180_000;

interface Service {
  child: ChildProcess;
  readyMs: number;
  /** How long a core has worked for the process so far, which other load on the machine hardly changes. */
  readCpuMs(): Promise<number>;
  /** Waits for a line of the log that was not waited for before. */
  untilLogged(message: string): Promise<void>;
  stop(): Promise<void>;
}

const nameOf = (index: number): string => `model-${String(index).padStart(5, "0")}`;

const SOURCES: readonly ((model: string) => string)[] = [
  () => "{}",
  () => "{ checks: reported, buffer: reported }",
  (model) =>
    `{ checks: { table: drift_log, columns: { feature: metric, score: value, threshold: limit_value, triggered: fired, checkedAt: created_at }, where: { model: ${model} } }, buffer: { table: events, unit: events, columns: { batch: null, time: event_time }, where: { model: ${model} } } }`,
];

const POLICIES = [
  "{}",
  "{ when: { all: [{ recentDriftChecks: { within: 3d } }, { bufferSize: 1000 }] } }",
  "{ when: { any: [{ driftAlerts: { atLeast: 2 } }, { maxAge: 60d }] }, guards: { cooldown: 7d } }",
  "{ when: { all: [{ severity: { worst: 2.0 } }, { bufferSize: 50000 }] }, guards: { quietHours: { days: [sat, sun] } } }",
  "{ guards: { cooldown: 1d, budget: { atMost: 4, per: 30d } } }",
] as const;

const releasers = createReleasers(createLogger("silent"));
try {
  await main();
} finally {
  await releasers.releaseAll();
}

async function main(): Promise<void> {
  const { BENCH_DATABASE_URL: databaseUrl, BENCH_REDIS_URL: redisUrl } = process.env;
  const servers = await startEmbeddedServers({ databaseUrl, redisUrl, isDurable: true, say: console.log });
  releasers.add("servers", servers.stop);
  const directory = await mkdtemp(join(process.cwd(), ".data", "bench-models-"));
  releasers.add("files", () => rm(directory, { recursive: true }));
  const database = new Client(servers.databaseUrl);
  await database.connect();
  releasers.add("database", () => database.end());
  await createTables(database);
  const redis = new Redis(servers.redisUrl, { maxRetriesPerRequest: null });
  releasers.add("redis", () => redis.disconnect());
  const inbox = new Queue(INBOX, { connection: redis, prefix: PREFIX });
  releasers.add("queue", () => inbox.close());

  const path = join(directory, "retrigger.yaml");
  const settings = {
    DATABASE_URL: servers.databaseUrl,
    REDIS_URL: servers.redisUrl,
    REDIS_PREFIX: PREFIX,
    RETRIGGER_CONFIG: path,
    ROLE: "worker",
  };
  await writeFile(path, renderFile(0, MODELS));
  const countSchedules = () => inbox.getJobSchedulersCount();
  const figures: [string, string][] = [];
  const add = (name: string, figure: string): void => {
    figures.push([name, figure]);
    console.error(`${name}: ${figure}`);
  };

  const startedAt = performance.now();
  let service = await startService(settings);
  await until("all schedules exist", async () => (await countSchedules()) === MODELS);
  add("first start until ready", seconds(service.readyMs));
  add("  of which CPU", seconds(await service.readCpuMs()));
  add("first start until all schedules exist", seconds(performance.now() - startedAt));
  add("RSS once settled", await settledRss(service));

  const before = await countCommands(redis);
  const [burstAt, burstCpuMs] = [performance.now(), await service.readCpuMs()];
  const events = Array.from({ length: MODELS }, (_, index) => ({
    name: INBOX_JOBS.event,
    data: { runId: "burst", model: nameOf(index), status: "success" },
    opts: JOB_OPTIONS,
  }));
  await inbox.addBulk(events);
  await until("all models are decided", async () => (await countDecisions(database)) >= MODELS);
  add("one event for each model, until all are decided", seconds(performance.now() - burstAt));
  add("  of which CPU", seconds((await service.readCpuMs()) - burstCpuMs));
  add("RSS once settled after that", await settledRss(service));
  add("Redis commands per decision", (((await countCommands(redis)) - before) / MODELS).toFixed(0));

  await service.stop();
  const restartedAt = performance.now();
  service = await startService(settings);
  add("restart until ready", seconds(service.readyMs));
  add("  of which CPU", seconds(await service.readCpuMs()));
  await until("all schedules exist", async () => (await countSchedules()) === MODELS);
  add("restart until all schedules exist", seconds(performance.now() - restartedAt));
  add("RSS once settled after the restart", await settledRss(service));

  await writeFile(path, renderFile(CHANGED, MODELS + CHANGED, CHANGED));
  const [reloadedAt, reloadCpuMs] = [performance.now(), await service.readCpuMs()];
  service.child.kill("SIGHUP");
  await service.untilLogged("the settings were reloaded");
  add("reload until in force", seconds(performance.now() - reloadedAt));
  const last = `schedule-${nameOf(MODELS + CHANGED - 1)}`;
  await until(
    "the schedules follow",
    async () => (await countSchedules()) === MODELS && (await inbox.getJobScheduler(last)) !== undefined,
  );
  add("reload until the schedules follow", seconds(performance.now() - reloadedAt));
  await until(
    "changed models are decided again",
    async () => (await countDecisions(database)) >= MODELS + CHANGED,
  );
  add("reload until changed models are decided again", seconds(performance.now() - reloadedAt));
  add("  of which CPU", seconds((await service.readCpuMs()) - reloadCpuMs));
  add("RSS once settled after the reload", await settledRss(service));
  await service.stop();

  console.log(`${cpus().length} cores, ${cpus()[0]?.model}, Node ${process.version}; ${MODELS} models\n`);
  for (const [name, figure] of figures) console.log(`${name.padEnd(50)} ${figure}`);
}

/**
 * A file with the models from one number to below another: a third on the guide's tables, a third on what is reported, a third
 * on a table with columns of its own; with five kinds of policies. The first `changed` of them have another policy.
 */
function renderFile(from: number, to: number, changed = 0): string {
  const sections = Array.from({ length: to - from }, (_, place) => {
    const index = from + place;
    const policy = place < changed ? "{ when: { driftAlerts: 2 } }" : POLICIES[index % POLICIES.length];
    return `  ${nameOf(index)}:
    source: ${SOURCES[index % SOURCES.length]?.(nameOf(index))}
    policy: ${policy}\n`;
  });
  return `defaults:\n  schedule: "0 6 * * *"\n  spread: 10m\nmodels:\n${sections.join("")}`;
}

async function createTables(database: Client): Promise<void> {
  await database.query(`${SOURCE_TABLES}
    CREATE TABLE drift_log (model TEXT, metric TEXT, value FLOAT, limit_value FLOAT, fired BOOLEAN, created_at TIMESTAMPTZ);
    CREATE TABLE events (model TEXT, event_time TIMESTAMPTZ);
    CREATE INDEX ON drift_log (model, created_at);
    CREATE INDEX ON events (model, event_time);
    INSERT INTO drift_alerts (alert_date, feature_name, drift_score, threshold, alert_triggered)
      VALUES (now() AT TIME ZONE 'UTC', 'rating_distribution_ks', 0.0975, 0.05, true);
    INSERT INTO ratings_buffer SELECT n, n, 3.5, n, 'batch_w' || n % 7 FROM generate_series(1, 1000) AS n;
    INSERT INTO drift_log SELECT 'model-' || lpad(n::text, 5, '0'), 'ks', 0.09, 0.05, true, now()
      FROM generate_series(0, 3000) AS n;
    INSERT INTO events SELECT 'model-' || lpad((n % 3000)::text, 5, '0'), now() FROM generate_series(1, 30000) AS n;
    ANALYZE`);
}

async function startService(settings: Record<string, string>): Promise<Service> {
  const startedAt = performance.now();
  const child = spawn(process.execPath, ["dist/src/main.js"], {
    env: { PATH: process.env["PATH"], NODE_ENV: "test", ...settings },
    stdio: ["ignore", "pipe", "inherit"],
  });
  const stop = async (): Promise<void> => {
    child.kill("SIGTERM");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  };
  releasers.add("service", stop);
  let text = "";
  child.stdout?.on("data", (chunk: Buffer) => (text += chunk.toString()));
  const untilLogged = async (message: string): Promise<void> => {
    await until(`"${message}" is logged`, async () => text.includes(message));
    text = "";
  };
  await untilLogged("Retrigger is ready");
  const readyMs = performance.now() - startedAt;
  return { child, readyMs, untilLogged, stop, readCpuMs: () => readCpuMs(child) };
}

async function until(what: string, check: () => Promise<boolean>): Promise<void> {
  const deadline = performance.now() + LIMIT_MS;
  while (!(await check())) {
    if (performance.now() > deadline) throw new Error(`Not within ${LIMIT_MS} ms: ${what}`);
    await pause(100);
  }
}

/** The resident memory once it has not moved by more than 2 MB for five seconds. */
async function settledRss({ child }: Service): Promise<string> {
  let [last, now] = [0, await readRss(child)];
  while (Math.abs(now - last) > 2) {
    await pause(5_000);
    [last, now] = [now, await readRss(child)];
  }
  return `${now.toFixed(0)} MB`;
}

async function readRss({ pid }: ChildProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

/** User and system time; Linux counts in hundredths of a second. */
async function readCpuMs({ pid }: ChildProcess): Promise<number> {
  const fields = (await readFile(`/proc/${pid}/stat`, "utf8")).split(") ")[1]?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

async function countDecisions(database: Client): Promise<number> {
  const { rows } = await database.query<{ count: number }>(
    "SELECT count(*)::int AS count FROM retraining_decisions",
  );
  return rows[0]?.count ?? 0;
}

async function countCommands(redis: Redis): Promise<number> {
  return Number(/total_commands_processed:(\d+)/.exec(await redis.info("stats"))?.[1]);
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(1)} s`;
}
