import { readFile, writeFile } from "node:fs/promises";
import { Agent, request } from "node:http";
import { setTimeout as pause } from "node:timers/promises";
import { parseArgs } from "node:util";
import { Redis } from "ioredis";
import { Client } from "pg";
import { SOURCE_TABLES } from "../src/embedded/sample-data.ts";
import { type EmbeddedServers, startEmbeddedServers } from "../src/embedded/servers.ts";
import { createReleasers } from "../src/process/lifecycle.ts";
import { createLogger } from "../src/process/logger.ts";
import {
  ADMIN_TOKEN,
  BEFORE,
  type Contender,
  DECISION,
  FAR,
  listContenders,
  type RunningContender,
  startContender,
} from "./decision/contender.ts";
import {
  createMeasures,
  type Measures,
  quantile,
  readRss,
  runAtOnce,
  runOneByOne,
} from "./decision/measure.ts";
import {
  type BenchResult,
  findRegressions,
  type Measured,
  renderResult,
  toResult,
} from "./decision/result.ts";
import { openDelayedWire } from "./decision/delayed-wire.ts";
import { openDatabase } from "./open-database.ts";

const { values: options } = parseArgs({
  options: {
    rounds: { type: "string", default: "5" },
    /** Only these contenders, separated by commas. */
    only: { type: "string" },
    /** Writes the result here. */
    json: { type: "string" },
    /** Fails if a ratio is worse than in this earlier result. */
    compare: { type: "string" },
    /** Measures nothing but the memory of the service after 5,000 and after 100,000 decisions. */
    memory: { type: "boolean", default: false },
  },
});

const ROUNDS = Number(options.rounds);
const ONE_BY_ONE = 200;
const AT_ONCE = 2_000;
const BURST = 1_000;
const REST_MS = 20_000;
/** V8 returns memory when a program has been idle for up to a minute. */
const LONG_REST_MS = 60_000;
/** More connections at once would measure the machine's backlog. */
const AGENT = new Agent({ keepAlive: true, maxSockets: 64 });

interface Bench {
  running: RunningContender;
  database: Client;
  measures: Measures;
  /** After the last round and a rest; NaN before. */
  rssMb: number;
}

const releasers = createReleasers(createLogger("silent"));
try {
  await (options.memory ? measureMemory() : main());
} finally {
  await releasers.releaseAll();
}

async function startServers(): Promise<EmbeddedServers> {
  const servers = await startEmbeddedServers({ isDurable: true, say: console.log });
  releasers.add("servers", servers.stop);
  return servers;
}

async function start(contender: Contender, servers: EmbeddedServers): Promise<Bench> {
  const { settings, database } = await prepare(contender, servers);
  const running = await startContender(contender, settings, post);
  releasers.add("worker", running.stop);
  return { running, database, measures: createMeasures(), rssMb: Number.NaN };
}

async function main(): Promise<void> {
  const servers = await startServers();
  const redis = new Redis(servers.redisUrl);
  releasers.add("redis", () => redis.disconnect());
  const only = options.only?.split(",");
  const contenders = listContenders(process.env["BENCH_BEFORE"]).filter(
    ({ name }) => only?.includes(name) ?? true,
  );
  const benches: Bench[] = [];
  for (const contender of contenders) benches.push(await start(contender, servers));
  for (const { running } of benches) await runOneByOne(running, 50);
  for (let round = 1; round <= ROUNDS; round += 1) {
    // In turn: what a contender leaves to be flushed to disk slows down the next one.
    for (const bench of round % 2 === 0 ? benches.toReversed() : benches) {
      await runRound(bench, redis);
      if (round < ROUNDS) continue;
      // Each rests equally long: V8 collects garbage when a program has been idle for a while.
      await pause(REST_MS);
      bench.rssMb = await readRss(bench.running);
    }
    console.error(`round ${round} of ${ROUNDS}`);
  }
  const measured = new Map<string, Measured>();
  for (const { running, measures, rssMb } of benches)
    measured.set(running.contender.name, { measures, firstMs: running.firstMs, rssMb });
  await report(toResult(measured, ROUNDS, await readVersions(redis, benches)));
}

/** Prints the resident memory after each of these numbers of decisions, at once and after a rest. */
async function measureMemory(): Promise<void> {
  const servers = await startServers();
  const contender = listContenders(undefined).find(({ name }) => name === DECISION);
  if (!contender) throw new Error("the bench has lost the service itself");
  const { running } = await start(contender, servers);
  let decided = 0;
  for (const count of [5_000, 100_000]) {
    while (decided < count) {
      const end = running.ended(BURST);
      await Promise.all(Array.from({ length: BURST }, (_, index) => running.put(`m${index}`)));
      await end;
      decided += BURST;
    }
    const atOnce = await readRss(running);
    await pause(LONG_REST_MS);
    const rested = await readRss(running);
    console.log(
      `${count} decisions: ${Math.round(atOnce)} MB at once, ${Math.round(rested)} MB after a rest of ${LONG_REST_MS / 1000} s`,
    );
  }
}

async function runRound({ running, database, measures }: Bench, redis: Redis): Promise<void> {
  const isFar = running.contender.name === FAR;
  const latenciesMs = await runOneByOne(running, isFar ? ONE_BY_ONE / 10 : ONE_BY_ONE);
  measures.p50Ms.push(quantile(latenciesMs, 0.5));
  measures.p99Ms.push(quantile(latenciesMs, 0.99));
  if (!isFar) await runAtOnce(running, AT_ONCE, { redis, database, measures });
}

async function report(result: BenchResult): Promise<void> {
  console.log(renderResult(result));
  if (options.json !== undefined) await writeFile(options.json, `${JSON.stringify(result, null, 2)}\n`);
  if (options.compare === undefined) return;
  const earlier = JSON.parse(await readFile(options.compare, "utf8")) as BenchResult;
  const regressions = findRegressions(result, earlier);
  for (const line of regressions) console.error(`Worse than ${options.compare}: ${line}`);
  if (regressions.length > 0) process.exitCode = 1;
}

/** Creates a database with a triggered alert and a small buffer, because counting ratings is not measured here. */
async function prepare(contender: Contender, servers: EmbeddedServers) {
  const name = `bench_${contender.name.replaceAll(/\W/g, "_").toLowerCase()}`;
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
  // Another version creates its own tables.
  if (contender.name !== BEFORE) {
    const migrating = openDatabase(url.href);
    await migrating.migrate();
    await migrating.close();
  }
  const settings = {
    DATABASE_URL: await withDelay(url.href, contender.delayMs),
    REDIS_URL: servers.redisUrl,
    REDIS_PREFIX: `{${name}}`,
    MIN_BUFFER_SIZE: "1000",
    // Without the guard each decision triggers, and writes all its rows.
    RETRIGGER_GUARD: "off",
    SCHEDULE: "off",
    RETRIGGER_CONFIG: await writeModels(),
  };
  return { settings, database };
}

async function withDelay(databaseUrl: string, delayMs: number): Promise<string> {
  if (delayMs === 0) return databaseUrl;
  const wire = await openDelayedWire(databaseUrl, delayMs);
  releasers.add("wire", wire.close);
  return wire.url;
}

async function writeModels(): Promise<string> {
  const path = `${process.cwd()}/.data/bench-models.yaml`;
  const names = Array.from({ length: AT_ONCE }, (_, index) => `  m${index}:\n`);
  await writeFile(path, `models:\n${names.join("")}`);
  return path;
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

async function readVersions(redis: Redis, [bench]: readonly Bench[]): Promise<Record<string, string>> {
  const packages = ["bullmq", "ioredis", "pg"].map((name) => [name, `node_modules/${name}`] as const);
  const peers = ["graphile-worker", "pg-boss", "@dbos-inc/dbos-sdk"].map(
    (name) => [name, `bench/peers/node_modules/${name}`] as const,
  );
  const installed: Record<string, string> = {};
  for (const [name, directory] of [...packages, ...peers]) {
    const text = await readFile(`${directory}/package.json`, "utf8").catch(() => null);
    if (text !== null) installed[name] = (JSON.parse(text) as { version: string }).version;
  }
  const postgres = await bench?.database.query<{ server_version: string }>("SHOW server_version");
  return {
    postgres: postgres?.rows[0]?.server_version ?? "unknown",
    redis: /redis_version:(\S+)/.exec(await redis.info("server"))?.[1] ?? "unknown",
    ...installed,
  };
}
