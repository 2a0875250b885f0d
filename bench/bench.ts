import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { readFile, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { cpus } from "node:os";
import { FlowProducer, Queue, QueueEvents } from "bullmq";
import { Redis } from "ioredis";
import { Client } from "pg";
import { buildFlow } from "../queues/flow.ts";
import { INBOX, INBOX_JOBS } from "../queues/names.ts";
import { JOB_OPTIONS } from "../queues/options.ts";
import { createRunId } from "../queues/run-id.ts";
import { SOURCE_TABLES } from "../src/embedded/sample-data.ts";
import { startEmbeddedServers } from "../src/embedded/servers.ts";
import { createReleasers } from "../src/process/lifecycle.ts";
import { createLogger } from "../src/process/logger.ts";
import { openDatabase } from "./open-database.ts";

const ROUNDS = 5;
const ONE_BY_ONE = 200;
const AT_ONCE = 2_000;
/** With which events are sent by HTTP. */
const ADMIN_TOKEN = "token-of-the-bench-which-is-no-secret";
/** More connections at once would measure the machine's backlog. */
const AGENT = new Agent({ keepAlive: true, maxSockets: 64 });
/** The directory of another built checkout, whose decisions are measured in the same rounds. */
const BEFORE = process.env["BENCH_BEFORE"];
const VARIANTS = [
  "floor",
  "floor with SQL",
  ...(BEFORE === undefined ? [] : ["before"]),
  "decision",
  "by HTTP",
];
type Variant = string;

interface Bench {
  variant: Variant;
  child: ChildProcess;
  /** Requests one decision about a model. */
  put(model: string): Promise<void>;
  /** Waits until `count` more chains have ended. */
  ended(count: number): Promise<void>;
}

interface Measures {
  latenciesMs: number[];
  perSecond: number[];
  redisCommands: number[];
  transactions: number[];
}

const releasers = createReleasers(createLogger("silent"));
try {
  await main();
} finally {
  await releasers.releaseAll();
}

async function main(): Promise<void> {
  const servers = await startEmbeddedServers({ isDurable: true, say: console.log });
  releasers.add("servers", servers.stop);
  const redis = new Redis(servers.redisUrl);
  releasers.add("redis", () => redis.disconnect());
  const benches: Bench[] = [];
  const measures = new Map<Variant, Measures>();
  const databases = new Map<Variant, Client>();
  for (const variant of VARIANTS) {
    const { settings, database } = await prepare(variant, servers);
    databases.set(variant, database);
    benches.push(await startBench(variant, settings, servers.redisUrl));
    measures.set(variant, { latenciesMs: [], perSecond: [], redisCommands: [], transactions: [] });
  }
  for (const bench of benches) await runOneByOne(bench, 50);
  for (let round = 1; round <= ROUNDS; round += 1) {
    // In turn: what a variant leaves to be flushed to disk slows down the next one.
    for (const bench of round % 2 === 0 ? benches.toReversed() : benches) {
      const measure = measures.get(bench.variant);
      const database = databases.get(bench.variant);
      if (!measure || !database) continue;
      measure.latenciesMs.push(...(await runOneByOne(bench, ONE_BY_ONE)));
      const [commands, transactions] = [await countCommands(redis), await countTransactions(database)];
      const startedAt = performance.now();
      const ended = bench.ended(AT_ONCE);
      await Promise.all(Array.from({ length: AT_ONCE }, (_, index) => bench.put(`m${index}`)));
      await ended;
      measure.perSecond.push((AT_ONCE / (performance.now() - startedAt)) * 1000);
      measure.redisCommands.push(((await countCommands(redis)) - commands) / AT_ONCE);
      measure.transactions.push(((await countTransactions(database)) - transactions) / AT_ONCE);
    }
    console.error(`round ${round} of ${ROUNDS}`);
  }
  await printTable(benches, measures);
}

/** Creates a database with a triggered alert and a small buffer, because counting ratings is not measured here. */
async function prepare(variant: Variant, servers: { databaseUrl: string; redisUrl: string }) {
  const name = `bench_${variant.replaceAll(" ", "_").toLowerCase()}`;
  const admin = new Client(servers.databaseUrl);
  await admin.connect();
  await admin.query(`CREATE DATABASE ${name}`);
  await admin.end();
  const url = new URL(servers.databaseUrl);
  url.pathname = `/${name}`;
  const database = new Client(url.href);
  await database.connect();
  releasers.add("database", () => database.end());
  await database.query(SOURCE_TABLES);
  await database.query(`
    INSERT INTO drift_alerts (alert_date, feature_name, drift_score, threshold, alert_triggered)
      VALUES (now() AT TIME ZONE 'UTC', 'rating_distribution_ks', 0.0975, 0.05, true);
    INSERT INTO ratings_buffer SELECT n, n, 3.5, n, 'batch_w' || n % 7 FROM generate_series(1, 1000) AS n; ANALYZE`);
  const settings = {
    DATABASE_URL: url.href,
    REDIS_URL: servers.redisUrl,
    REDIS_PREFIX: `{${name}}`,
    MIN_BUFFER_SIZE: "1000",
    // Without the guard each decision triggers, and writes all its rows.
    RETRIGGER_GUARD: "off",
    SCHEDULE: "off",
    ROLE: "worker",
    LOG_LEVEL: "warn",
    RETRIGGER_CONFIG: await writeModels(),
  };
  // Another version creates its own tables.
  if (variant === "before") return { settings, database };
  const migrating = openDatabase(url.href);
  await migrating.migrate();
  await migrating.close();
  return { settings, database };
}

async function writeModels(): Promise<string> {
  const path = `${process.cwd()}/.data/bench-models.yaml`;
  const names = Array.from({ length: AT_ONCE }, (_, index) => `  m${index}:\n`);
  await writeFile(path, `models:\n${names.join("")}`);
  return path;
}

async function startBench(
  variant: Variant,
  settings: Record<string, string>,
  redisUrl: string,
): Promise<Bench> {
  const isByHttp = variant === "by HTTP";
  const isDecision = variant === "decision" || variant === "before" || isByHttp;
  const root = variant === "before" ? BEFORE : ".";
  const program = isDecision ? `${root}/dist/src/main.js` : "dist/bench/floor-worker.js";
  const child = spawn(process.execPath, [program], {
    env: {
      PATH: process.env["PATH"],
      ...settings,
      LOG_LEVEL: "info",
      FLOOR: variant === "floor with SQL" ? "sql" : "",
      ...(isByHttp ? { ROLE: "all", PORT: "0", ADMIN_TOKEN } : {}),
    },
    stdio: ["ignore", "pipe", "inherit"],
  });
  releasers.add("worker", async () => {
    child.kill("SIGTERM");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  });
  const address = await untilReady(child);
  const connection = new Redis(redisUrl, { maxRetriesPerRequest: null });
  const options = { connection, prefix: settings["REDIS_PREFIX"] ?? "" };
  const inbox = new Queue(INBOX, options);
  const flow = new FlowProducer(options);
  const events = new QueueEvents("summarize", {
    ...options,
    connection: { url: redisUrl, maxRetriesPerRequest: null },
  });
  await events.waitUntilReady();
  releasers.add("producer", async () => {
    await Promise.all([events.close(), inbox.close(), flow.close()]);
    connection.disconnect();
  });
  return {
    variant,
    child,
    async put(model) {
      const runId = createRunId();
      if (isByHttp) await post(address, { runId, model, status: "success" });
      else if (isDecision)
        await inbox.add(INBOX_JOBS.event, { runId, model, status: "success" }, JOB_OPTIONS);
      else await flow.add(buildFlow({ runId, model, cause: "event" }));
    },
    ended: (count) =>
      new Promise((resolve) => {
        let left = count;
        const onCompleted = (): void => {
          left -= 1;
          if (left > 0) return;
          events.off("completed", onCompleted);
          resolve();
        };
        events.on("completed", onCompleted);
      }),
  };
}

/** Returns the address of the pages, if there are any. */
async function untilReady(child: ChildProcess): Promise<string> {
  let address = "";
  for await (const chunk of child.stdout ?? []) {
    address = /"address":"([^"]+)"/.exec(String(chunk))?.[1] ?? address;
    if (String(chunk).includes("ready")) break;
  }
  // Later output is not needed, but it must not fill the pipe.
  child.stdout?.resume();
  return address;
}

function post(address: string, event: object): Promise<void> {
  const headers = { authorization: `Bearer ${ADMIN_TOKEN}`, "content-type": "application/json" };
  return new Promise((resolve, reject) => {
    const sent = request(
      `${address}/api/v1/events`,
      { method: "POST", agent: AGENT, headers },
      (response) => {
        response.resume();
        response.on("end", () =>
          response.statusCode === 202
            ? resolve()
            : reject(new Error(`responded with ${response.statusCode}`)),
        );
      },
    );
    sent.on("error", reject);
    sent.end(JSON.stringify(event));
  });
}

async function runOneByOne(bench: Bench, count: number): Promise<number[]> {
  const latenciesMs: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const startedAt = performance.now();
    const ended = bench.ended(1);
    await bench.put(`m${index}`);
    await ended;
    latenciesMs.push(performance.now() - startedAt);
  }
  return latenciesMs;
}

async function countCommands(redis: Redis): Promise<number> {
  return Number(/total_commands_processed:(\d+)/.exec(await redis.info("stats"))?.[1]);
}

/** Counts committed transactions; each of our round trips is one. Backends report them with a delay of at most a second. */
async function countTransactions(database: Client): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  await database.query("SELECT pg_stat_clear_snapshot()");
  const { rows } = await database.query<{ count: string }>(
    "SELECT xact_commit AS count FROM pg_stat_database WHERE datname = current_database()",
  );
  return Number(rows[0]?.count);
}

async function printTable(benches: Bench[], measures: Map<Variant, Measures>): Promise<void> {
  const floor = summarise(measures.get("floor with SQL"));
  const before = measures.get("before");
  console.log(
    `${cpus().length} cores, ${cpus()[0]?.model}, Node ${process.version}; ${ROUNDS} rounds, medians\n`,
  );
  console.log(
    "|                | p50 ms | p99 ms | x floor+SQL | per second | x floor+SQL | Redis cmds | PG trips | RSS MB |",
  );
  console.log(
    "|----------------|-------:|-------:|------------:|-----------:|------------:|-----------:|---------:|-------:|",
  );
  for (const { variant, child } of benches) {
    const own = summarise(measures.get(variant));
    const cells = [
      variant.padEnd(14),
      own.p50.toFixed(1).padStart(6),
      own.p99.toFixed(1).padStart(6),
      (own.p50 / floor.p50).toFixed(2).padStart(11),
      own.perSecond.toFixed(0).padStart(10),
      (own.perSecond / floor.perSecond).toFixed(2).padStart(11),
      own.redisCommands.toFixed(1).padStart(10),
      own.transactions.toFixed(1).padStart(8),
      (await rssMegabytes(child)).toFixed(0).padStart(6),
    ];
    console.log(`| ${cells.join(" | ")} |`);
  }
  printRatios(before, measures.get("decision"));
}

/** Prints the ratios of our decisions to the other version's by round, so that the machine's other load cancels out. */
function printRatios(before: Measures | undefined, ours: Measures | undefined): void {
  if (!before || !ours) return;
  const medians = (measure: Measures): number[] =>
    Array.from({ length: ROUNDS }, (_, round) =>
      quantile(measure.latenciesMs.slice(round * ONE_BY_ONE, (round + 1) * ONE_BY_ONE), 0.5),
    );
  const ratios = (a: number[], b: number[]): string =>
    a.map((value, round) => (value / (b[round] ?? Number.NaN)).toFixed(2)).join(", ");
  console.log(`\np50, ours to before, by round: ${ratios(medians(ours), medians(before))}`);
  console.log(`per second, ours to before, by round: ${ratios(ours.perSecond, before.perSecond)}`);
}

function summarise(measure: Measures | undefined) {
  const { latenciesMs = [], perSecond = [], redisCommands = [], transactions = [] } = measure ?? {};
  return {
    p50: quantile(latenciesMs, 0.5),
    p99: quantile(latenciesMs, 0.99),
    perSecond: quantile(perSecond, 0.5),
    redisCommands: quantile(redisCommands, 0.5),
    transactions: quantile(transactions, 0.5),
  };
}

function quantile(values: number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

async function rssMegabytes({ pid }: ChildProcess): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8").catch(() => "");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}
