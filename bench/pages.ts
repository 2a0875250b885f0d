import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import { parseConfig } from "../src/config/config.ts";
import { startEmbeddedServers } from "../src/embedded/servers.ts";
import { createReleasers } from "../src/process/lifecycle.ts";
import { createLogger } from "../src/process/logger.ts";
import { quantile } from "./decision/measure.ts";
import { openDatabase } from "./open-database.ts";
import { fillTables } from "./page-data.ts";
import { KINDS, MODELS, nameOf, renderModels } from "./page-models.ts";

/**
 * Measures every page with 2,000 models and 100,000 decisions of 90 days: `npm run bench:pages`. `--decisions 1000000` fills in
 * a million, `--rounds` says how often each page is read, `--only decisions` reads the pages whose names contain it, `--json`
 * prints JSON. It starts its own servers, unless BENCH_DATABASE_URL and BENCH_REDIS_URL are set; a database that it has filled before is
 * measured as it is.
 */
const { values: options } = parseArgs({
  options: {
    decisions: { type: "string", default: "100000" },
    rounds: { type: "string", default: "60" },
    only: { type: "string", default: "" },
    json: { type: "boolean", default: false },
  },
});
const DECISIONS = Number(options.decisions);
const ROUNDS = Number(options.rounds);
const WARM_UP = 5;
/** A page should be faster in 95 of 100 cases. */
const TARGET_MS = 100;

interface Target {
  name: string;
  /** The address in a round: each reads another model or decision. */
  path(round: number): string;
}

interface Figures {
  name: string;
  p50: number;
  p95: number;
  max: number;
  kB: number;
}

const releasers = createReleasers(createLogger("silent"));
try {
  await main();
} finally {
  await releasers.releaseAll();
}

async function main(): Promise<void> {
  const { BENCH_DATABASE_URL: databaseUrl, BENCH_REDIS_URL: redisUrl } = process.env;
  const servers = await startEmbeddedServers({ databaseUrl, redisUrl, isDurable: false, say: console.error });
  releasers.add("servers", servers.stop);
  const directory = await mkdtemp(join(process.cwd(), ".data", "bench-pages-"));
  releasers.add("files", () => rm(directory, { recursive: true }));
  const path = join(directory, "retrigger.yaml");
  await writeFile(path, renderModels());
  const settings = {
    DATABASE_URL: servers.databaseUrl,
    REDIS_URL: servers.redisUrl,
    REDIS_PREFIX: "{bench_pages}",
    RETRIGGER_CONFIG: path,
    ROLE: "web",
    PORT: "0",
  };
  const pool = new pg.Pool({ connectionString: servers.databaseUrl, max: 2 });
  pool.on("error", () => {});
  releasers.add("pool", () => pool.end());
  await prepare(pool, settings);
  const token = await createToken(servers.databaseUrl);
  const address = await startService(settings);
  const targets = (await listTargets(pool, address, token)).filter(({ name }) => name.includes(options.only));
  const figures = await measure(targets, address, token);
  await report(pool, figures);
}

/** Migrates and fills the database, unless that was done before. */
async function prepare(pool: pg.Pool, settings: Record<string, string>): Promise<void> {
  const database = openDatabase(settings["DATABASE_URL"] ?? "");
  try {
    await database.migrate();
    const { rows } = await pool.query("SELECT FROM retraining_decisions LIMIT 1");
    if (rows.length > 0) return;
    console.error(`filling the tables with ${DECISIONS} decisions ...`);
    await fillTables(pool, { config: parseConfig(settings), database, decisions: DECISIONS });
  } finally {
    await database.close();
  }
}

async function createToken(databaseUrl: string): Promise<string> {
  const database = openDatabase(databaseUrl);
  const given = { name: "bench", role: "admin", createdBy: "bench", forSeconds: null } as const;
  const { token } = await database.createToken(given);
  await database.close();
  return token;
}

/** Starts the service with pages and without workers. Returns its address. */
async function startService(settings: Record<string, string>): Promise<string> {
  const child = spawn(process.execPath, ["dist/src/main.js"], {
    env: { PATH: process.env["PATH"], ...settings },
    stdio: ["ignore", "pipe", "inherit"],
  });
  releasers.add("service", () => stop(child));
  let text = "";
  for await (const chunk of child.stdout) {
    text += String(chunk);
    const address = /"address":"([^"]+)"/.exec(text)?.[1];
    if (address === undefined) continue;
    return address;
  }
  throw new Error("the service ended before it was ready");
}

async function stop(child: ChildProcess): Promise<void> {
  child.kill("SIGTERM");
  if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
}

/** Every page, with its filters. */
async function listTargets(pool: pg.Pool, address: string, token: string): Promise<Target[]> {
  const { rows } = await pool.query<{ last: number; triggers: number[]; since: string; until: string }>(
    `SELECT (SELECT max(id) FROM retraining_decisions) AS last,
       ARRAY(SELECT decision_id FROM retraining_dispatches ORDER BY decision_id DESC LIMIT 1000) AS triggers,
       to_char(now() - interval '80 days', 'YYYY-MM-DD"T"HH24:MI') AS since,
       to_char(now() - interval '79 days', 'YYYY-MM-DD"T"HH24:MI') AS until`,
  );
  const { last = 0, triggers = [], since = "", until = "" } = rows[0] ?? {};
  const jobId = await requestDecision(address, token);
  const model = (round: number): string => nameOf(((round * 37) % MODELS) + 1);
  const old = (round: number): number => Math.floor(last / 5) + round * 7;
  const fixed = (path: string): Target => ({ name: path, path: () => path });
  const varied = (name: string, path: (round: number) => string): Target => ({ name, path });
  const decisions = (query: string): Target => varied(`/decisions?${query}`, () => `/decisions?${query}`);
  return [
    fixed("/"),
    fixed("/?page=2"),
    fixed("/?page=40"),
    fixed("/?q=m01"),
    ...["due", "held", "waiting", "failed"].map((state) => fixed(`/?state=${state}`)),
    varied("/models/:model", (round) => `/models/${model(round)}`),
    varied("/models/:model?range=365d", (round) => `/models/${model(round)}?range=365d`),
    varied("/models/:model/checks.csv", (round) => `/models/${model(round)}/checks.csv`),
    varied("/models/:model/dry-run", (round) => `/models/${model(round)}/dry-run`),
    fixed("/decisions"),
    varied("/decisions?model=", (round) => `/decisions?model=${model(round)}`),
    varied(
      "/decisions?model=&decision=trigger",
      (round) => `/decisions?model=${model(round)}&decision=trigger`,
    ),
    decisions("decision=trigger"),
    decisions("decision=no_action"),
    decisions("reason=insufficient_buffer"),
    decisions("reason=data_quality"),
    decisions("reason=quiet_hours"),
    decisions("cause=event"),
    decisions("cause=manual"),
    decisions("cause=manual&reason=data_quality"),
    decisions("decision=trigger&cause=manual"),
    varied(
      "/decisions?model=&reason=data_quality",
      (round) => `/decisions?model=${model(round)}&reason=data_quality`,
    ),
    varied("/decisions?since=&until= (old)", () => `/decisions?since=${since}&until=${until}`),
    varied("/decisions?since= (old)", () => `/decisions?since=${since}`),
    varied("/decisions?until= (old)", () => `/decisions?until=${until}`),
    varied("/decisions?until=&decision=trigger (old)", () => `/decisions?until=${until}&decision=trigger`),
    varied("/decisions?cursor= (deep)", (round) => `/decisions?cursor=${old(round)}`),
    varied(
      "/decisions?cursor=&reason= (deep)",
      (round) => `/decisions?cursor=${old(round)}&reason=insufficient_buffer`,
    ),
    fixed("/decisions.csv"),
    varied("/decisions.csv?model=", (round) => `/decisions.csv?model=${model(round)}`),
    fixed("/decisions/retry"),
    varied("/decisions/retry?model=", (round) => `/decisions/retry?model=${model(round)}`),
    varied("/decisions/:id (no action)", (round) => `/decisions/${last - round * 11}`),
    varied("/decisions/:id (trigger)", (round) => `/decisions/${triggers[(round * 7) % triggers.length]}`),
    fixed("/trainings"),
    varied("/trainings?model=", (round) => `/trainings?model=${model(round)}`),
    ...["rejected", "unknown", "running"].map((state) => fixed(`/trainings?state=${state}`)),
    varied("/trainings?cursor= (deep)", (round) => `/trainings?cursor=${old(round)}`),
    fixed("/events"),
    varied("/events?model=", (round) => `/events?model=${model(round)}`),
    fixed("/events?state=not_decided"),
    varied("/events?model=&state=not_decided", (round) => `/events?model=${model(round)}&state=not_decided`),
    varied("/events?cursor= (deep)", (round) => `/events?cursor=${old(round)}`),
    varied("/events?model=&cursor=", (round) => `/events?model=${model(round)}&cursor=${old(round)}`),
    fixed(`/requests/${jobId}`),
    fixed("/health"),
    fixed("/settings"),
    fixed("/settings?q=m1"),
    fixed("/settings?cursor=5000"),
  ];
}

/** Without workers, such a request waits. Returns the id of its job. */
async function requestDecision(address: string, token: string): Promise<string> {
  const response = await fetch(`${address}/api/v1/models/${nameOf(KINDS)}/decisions`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}`, "content-type": "application/json" },
    body: "{}",
  });
  const text = await response.text();
  const jobId = (JSON.parse(text) as { jobId?: string }).jobId;
  if (jobId === undefined) throw new Error(`The request for a decision was refused: ${text}`);
  return jobId;
}

/** Reads the pages in turn, each time in another order, so that what else the machine or the service does hits all alike. */
async function measure(targets: readonly Target[], address: string, token: string): Promise<Figures[]> {
  const headers = { authorization: `Bearer ${token}` };
  const results = targets.map(({ name }) => ({ name, times: [] as number[], bytes: [] as number[] }));
  for (let round = -WARM_UP; round < ROUNDS; round += 1) {
    for (const [index, target] of shuffle([...targets.entries()])) {
      const url = address + target.path(round + WARM_UP);
      const startedAt = performance.now();
      const response = await fetch(url, { headers });
      const { byteLength } = await response.arrayBuffer();
      const tookMs = performance.now() - startedAt;
      if (!response.ok) throw new Error(`${url} responded with ${response.status}`);
      if (round < 0) continue;
      results[index]?.times.push(tookMs);
      results[index]?.bytes.push(byteLength);
    }
    if (round % 10 === 0) console.error(`round ${round} of ${ROUNDS}`);
  }
  return results.map(({ name, times, bytes }) => ({
    name,
    p50: quantile(times, 0.5),
    p95: quantile(times, 0.95),
    max: Math.max(...times),
    kB: quantile(bytes, 0.5) / 1000,
  }));
}

function shuffle<T>(values: readonly T[]): T[] {
  return values
    .map((value) => ({ value, key: Math.random() }))
    .toSorted((a, b) => a.key - b.key)
    .map(({ value }) => value);
}

async function report(pool: pg.Pool, figures: readonly Figures[]): Promise<void> {
  const { rows } = await pool.query<{ postgres: string; decisions: string }>(
    "SELECT current_setting('server_version') AS postgres, (SELECT count(*) FROM retraining_decisions) AS decisions",
  );
  const { postgres, decisions } = rows[0] ?? {};
  const machine = `${cpus().length} cores, ${cpus()[0]?.model}, Node ${process.version}, Postgres ${postgres}`;
  if (options.json) {
    const facts = { machine, models: MODELS, decisions: Number(decisions), rounds: ROUNDS };
    return console.log(JSON.stringify({ ...facts, pages: figures }, null, 2));
  }
  console.log(`${machine}; ${MODELS} models, ${decisions} decisions, ${ROUNDS} rounds\n`);
  const width = Math.max(...figures.map(({ name }) => name.length));
  console.log(`| ${"page".padEnd(width)} | p50 ms | p95 ms | max ms |     kB |`);
  console.log(`|-${"-".repeat(width)}-|-------:|-------:|-------:|-------:|`);
  for (const { name, p50, p95, max, kB } of figures) {
    const cells = [p50, p95, max, kB].map((figure) => figure.toFixed(1).padStart(6));
    console.log(`| ${name.padEnd(width)} | ${cells.join(" | ")} |`);
  }
  const slow = figures.filter(({ p95 }) => p95 > TARGET_MS).map(({ name }) => name);
  console.log(
    slow.length === 0 ? `\np95 is below ${TARGET_MS} ms on every page` : `\nslow: ${slow.join(", ")}`,
  );
}
