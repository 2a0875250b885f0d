import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { QueueEvents } from "bullmq";
import { Client } from "pg";
import { INBOX_JOBS } from "../queues/names.ts";
import { JOB_OPTIONS } from "../queues/options.ts";
import { createRunId } from "../queues/run-id.ts";
import { buildApp } from "../src/app.ts";
import { parseConfig } from "../src/config/config.ts";
import { SOURCE_TABLES } from "../src/embedded/sample-data.ts";
import { startEmbeddedServers } from "../src/embedded/servers.ts";
import { createReleasers } from "../src/process/lifecycle.ts";
import { createLogger } from "../src/process/logger.ts";
import { createClient } from "../src/use-cases/client.ts";
import { quantile } from "./decision/measure.ts";
import { openDatabase } from "./open-database.ts";

// What a shadow policy adds to a decision, from the event to the end of summarize. A decision without and one with a shadow take
// turns in the same worker, so that the machine's other load cancels out.

const PAIRS = 1_000;
const WARM_UP = 150;
/** Each decision searches the trainings of its model, so each model has few. */
const MODELS = 50;
const SHADOWS = {
  "another threshold": { when: [{ driftAlerts: 2 }, { bufferSize: 1000 }] },
  "another guard": { guards: { cooldown: "3d" } },
  "another window": { when: [{ driftAlerts: { atLeast: 2, within: "14d" } }, { bufferSize: 1000 }] },
  "other scores": { when: [{ quantile: { last: 10 } }, { bufferGrowth: 100 }] },
} as const;

const log = createLogger("silent");
const releasers = createReleasers(log);
try {
  await main();
} finally {
  await releasers.releaseAll();
}

async function main(): Promise<void> {
  const decide = await start();
  console.log("| shadow | p50 without, ms | with | ratio | ratio of the faster half |");
  console.log("| --- | ---: | ---: | ---: | ---: |");
  for (const name of Object.keys(SHADOWS)) {
    const [without, withShadow]: [number[], number[]] = [[], []];
    for (let pair = -WARM_UP; pair < PAIRS; pair += 1) {
      const number = (pair + WARM_UP) % MODELS;
      const runs: [string, number[]][] = [
        [nameOf("none", number), without],
        [nameOf(name, number), withShadow],
      ];
      for (const [model, times] of pair % 2 === 0 ? runs : runs.toReversed()) {
        const time = await decide(model);
        if (pair >= 0) times.push(time);
      }
    }
    const ratioAt = (share: number): string =>
      (quantile(withShadow, share) / quantile(without, share)).toFixed(3);
    const figures = [without, withShadow].map((times) => quantile(times, 0.5).toFixed(2));
    console.log(`| ${[name, ...figures, ratioAt(0.5), ratioAt(0.25)].join(" | ")} |`);
  }
}

/** Starts a service. Returns what makes a decision about a model, and says how long it took, in milliseconds. */
async function start(): Promise<(model: string) => Promise<number>> {
  const servers = await startEmbeddedServers({ isDurable: true, say: console.error });
  releasers.add("servers", servers.stop);
  const directory = await mkdtemp(join(tmpdir(), "bench-shadow-"));
  releasers.add("directory", () => rm(directory, { recursive: true }));
  await fill(servers.databaseUrl);
  const config = parseConfig({
    DATABASE_URL: servers.databaseUrl,
    REDIS_URL: servers.redisUrl,
    RETRIGGER_CONFIG: await writeModels(directory),
    MIN_BUFFER_SIZE: "1000",
    // Without the guard each decision triggers, and writes all its rows.
    RETRIGGER_GUARD: "off",
    SCHEDULE: "off",
  });
  const app = buildApp({ ...config, role: "worker" }, log);
  await app.start(new AbortController().signal);
  releasers.add("app", app.stop);
  const client = createClient(config, log);
  releasers.add("client", client.close);
  const events = new QueueEvents("summarize", {
    connection: { url: config.redisUrl, maxRetriesPerRequest: null },
    prefix: config.redisPrefix,
  });
  await events.waitUntilReady();
  releasers.add("events", () => events.close());
  return async (model) => {
    const startedAt = performance.now();
    const ended = new Promise<void>((resolve) => events.once("completed", () => resolve()));
    await client.inbox.add(INBOX_JOBS.event, { runId: createRunId(), model, status: "success" }, JOB_OPTIONS);
    await ended;
    return performance.now() - startedAt;
  };
}

/** Little to read, so that the shadow's share is large. */
async function fill(databaseUrl: string): Promise<void> {
  const client = new Client(databaseUrl);
  await client.connect();
  await client.query(SOURCE_TABLES);
  await client.query(`
    INSERT INTO drift_alerts (alert_date, feature_name, drift_score, threshold, alert_triggered)
      SELECT now() AT TIME ZONE 'UTC' - n * interval '1 day', 'rating_distribution_ks', 0.0975, 0.05, n % 7 = 1
      FROM generate_series(1, 28) AS n;
    INSERT INTO ratings_buffer SELECT n, n, 3.5, n, 'batch_w' || n % 7 FROM generate_series(1, 1000) AS n; ANALYZE`);
  await client.end();
  const database = openDatabase(databaseUrl);
  await database.migrate();
  await database.close();
}

async function writeModels(directory: string): Promise<string> {
  const path = join(directory, "models.yaml");
  const kinds = [
    ["none", {}],
    ...Object.entries(SHADOWS).map(([name, shadow]) => [name, { shadow }]),
  ] as const;
  const models = kinds.flatMap(([name, own]) =>
    Array.from({ length: MODELS }, (_, number) => [nameOf(name as string, number), own]),
  );
  // JSON is YAML.
  await writeFile(path, JSON.stringify({ models: Object.fromEntries(models) }));
  return path;
}

function nameOf(kind: string, number: number): string {
  return `${kind.replaceAll(" ", "-")}-${number}`;
}
