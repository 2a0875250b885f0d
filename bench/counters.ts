import { rm } from "node:fs/promises";
import pg from "pg";
import { createRunId } from "../queues/run-id.ts";
import { parseConfig } from "../src/config/config.ts";
import { evaluate } from "../src/core/evaluate.ts";
import { GUIDE_POLICY } from "../src/core/policy.ts";
import { SOURCE_TABLES } from "../src/embedded/sample-data.ts";
import { startEmbeddedServers } from "../src/embedded/servers.ts";
import type { Database } from "../src/postgres/database.ts";
import { createRedactor } from "../src/process/redact.ts";
import { GUIDE_TABLES } from "../src/settings/sources.ts";
import { draftRecord } from "../src/trainers/draft-decision.ts";
import { createTrainers } from "../src/trainers/registry.ts";
import { quantile } from "./decision/measure.ts";
import { openDatabase } from "./open-database.ts";

/**
 * What counters gain a gather, and what they cost a writer: `npm run bench:counters`, or with the numbers of ratings to measure,
 * `npm run bench:counters -- 700000 10000000`. A table with a counter and one without take turns, so that the machine's other
 * load cancels out.
 */
const SIZES = process.argv.slice(2).map(Number);
const DEFAULT_SIZES = [700_000, 10_000_000];
const GATHERS = 15;
/** From here on the rows are counted once only: 50 million take twenty seconds. */
const MANY_ROWS = 10_000_001;
const HISTORY = 1_000_000;
const COPIES = 21;
const COPIED = 100_000;
const SINGLE_ROWS = 1_000;
const CSV = "/tmp/retrigger-bench-counters.csv";

const TABLES = { without: GUIDE_TABLES.buffer, with: "counted_buffer" } as const;
type Kind = keyof typeof TABLES;

/** Those of the guide. */
const INDEXES = {
  create: (table: string) =>
    `CREATE INDEX ${table}_batch ON ${table} (batch_id); CREATE INDEX ${table}_ingested ON ${table} (ingested_at)`,
  drop: (table: string) => `DROP INDEX ${table}_batch, ${table}_ingested`,
};

function configOf(kind: Kind) {
  return {
    policy: GUIDE_POLICY,
    source: {
      checks: { kind: "table", table: GUIDE_TABLES.checks, columns: {}, where: {} },
      buffer: { kind: "table", table: TABLES[kind], columns: {}, where: {}, unit: "ratings", since: null },
      database: null,
    },
    trainer: { name: "github" },
    expectDriftRunEveryMs: null,
  } as const;
}

const CONFIGS = { without: configOf("without"), with: configOf("with") };

const ENVIRONMENT = { DATABASE_URL: "postgres://localhost/bench", REDIS_URL: "redis://localhost" };

/** How much of the history is in the window of seven days. */
const WEEK = { checks: 7 * 24 * 10, decisions: 7 * 24 * 60 };

/**
 * Fills in ten checks an hour and, for the one model, a decision and an event a minute: those of the last week, or those of the years
 * before. The decisions are copies of the first one, and none has seen the last check. doctor suggests the index.
 */
function fillHistory(isWeek: boolean): string[] {
  const range = (week: number): string =>
    isWeek ? `${HISTORY - week + 1}, ${HISTORY}` : `1, ${HISTORY - week}`;
  return [
    `CREATE INDEX IF NOT EXISTS checks_date ON ${GUIDE_TABLES.checks} (alert_date);
   INSERT INTO ${GUIDE_TABLES.checks} (alert_date, feature_name, drift_score, threshold, alert_triggered)
   SELECT now() AT TIME ZONE 'UTC' - make_interval(secs => 360 * (${HISTORY} - n)), 'f' || n % 10, 0.04, 0.05, n % 100 = 0
   FROM generate_series(${range(WEEK.checks)}) AS n`,
    `SET session_replication_role = replica;
   WITH first AS (SELECT * FROM retraining_decisions ORDER BY id LIMIT 1), copied AS (
     INSERT INTO retraining_decisions (id, run_id, model, cause, decision_date, decision, reason, buffer_size, drift_score, notes,
       trainer, evidence, criteria, policy, policy_hash, alert_ids, previous_id, taken_at, reason_codes)
     SELECT first.id + n, gen_random_uuid(), model, cause, decision_date, decision, reason, buffer_size, drift_score, notes,
       trainer, '{}', '[]', '{}', policy_hash, '{}', first.id + n - 1,
       now() - make_interval(secs => 60 * (${HISTORY} - n)), reason_codes
     FROM first, generate_series(${range(WEEK.decisions)}) AS n RETURNING *)
   INSERT INTO retraining_events (model, event_run_id, job_key, status, payload, outcome, run_id, received_at, decision_id)
   SELECT model, 'drift-' || id, 'job-' || id, 'success', '{}', 'started', run_id, taken_at, id FROM copied;
   SELECT setval(pg_get_serial_sequence('retraining_decisions', 'id'), (SELECT max(id) FROM retraining_decisions));
   RESET session_replication_role`,
    "VACUUM ANALYZE",
  ];
}

const servers = await startEmbeddedServers({
  databaseUrl: process.env["BENCH_DATABASE_URL"],
  isDurable: true,
  say: console.error,
});
const pool = new pg.Pool({ connectionString: servers.databaseUrl, max: 1 });
pool.on("error", () => {});
const database = openDatabase(servers.databaseUrl);
try {
  await pool.query(SOURCE_TABLES);
  await pool.query(`CREATE TABLE ${TABLES.with} (LIKE ${TABLES.without} INCLUDING ALL)`);
  for (const table of Object.values(TABLES)) await pool.query(INDEXES.create(table));
  await database.migrate();
  await install(database);
  await measureWriters();
  // They would only slow down the filling: gather reads all rows.
  for (const table of Object.values(TABLES)) await pool.query(INDEXES.drop(table));
  let rows = 0;
  console.log("| ratings | gather p50 without, ms | with | install, s |");
  console.log("| ---: | ---: | ---: | ---: |");
  for (const size of SIZES.length > 0 ? SIZES : DEFAULT_SIZES) {
    await fill(rows, size);
    rows = size;
    await measureGather(size);
  }
  await measureHistory();
} finally {
  await database.close();
  await pool.end();
  await servers.stop();
  await rm(CSV, { force: true });
}

async function install(store: Database): Promise<void> {
  const found = await store.findCountable("with", CONFIGS.with);
  if (typeof found === "string") throw new Error(found);
  await store.installCounter(found, console.error);
}

/** A COPY of 100,000 rows of one batch, one of 50 batches, and transactions of a row each. */
async function measureWriters(): Promise<void> {
  console.log("| written | p50 without, ms | with | ratio, median of the pairs |");
  console.log("| --- | ---: | ---: | ---: |");
  for (const batches of [1, 50]) {
    await pool.query(
      `COPY (SELECT n % 6040, n % 3900, 3.5, 1700000000 + n, 'batch_w' || n % ${batches}, now()::timestamp
       FROM generate_series(1, ${COPIED}) AS n) TO '${CSV}'`,
    );
    await comparePairs(`COPY of 100,000 rows, ${batches} batches`, COPIES, (kind) =>
      pool.query(`COPY ${TABLES[kind]} FROM '${CSV}'`),
    );
  }
  const insert = (kind: Kind): string =>
    `INSERT INTO ${TABLES[kind]} VALUES (1, 1, 3.5, 1700000000, 'single', now())`;
  await comparePairs("INSERT of a row, committed", SINGLE_ROWS, (kind) => pool.query(insert(kind)));
  await comparePairs("INSERT of 1,000 rows one by one, one transaction", COPIES, async (kind) => {
    const loop = `FOR n IN 1..1000 LOOP ${insert(kind)}; END LOOP`;
    await pool.query(`DO $$ BEGIN ${loop}; END $$`);
  });
}

async function comparePairs(
  name: string,
  pairs: number,
  run: (kind: Kind) => Promise<unknown>,
): Promise<void> {
  const times: Record<Kind, number[]> = { without: [], with: [] };
  for (let pair = 0; pair < pairs; pair += 1)
    for (const kind of pair % 2 === 0 ? (["without", "with"] as const) : (["with", "without"] as const)) {
      const startedAt = performance.now();
      await run(kind);
      times[kind].push(performance.now() - startedAt);
    }
  const ratios = times.with.map((time, pair) => time / (times.without[pair] ?? Number.NaN));
  const figures = [times.without, times.with].map((list) => median(list).toFixed(2));
  console.log(`| ${[name, ...figures, median(ratios).toFixed(3)].join(" | ")} |`);
}

async function fill(from: number, to: number): Promise<void> {
  if (from === 0) await pool.query(`TRUNCATE ${TABLES.without}, ${TABLES.with}`);
  for (const table of Object.values(TABLES))
    await pool.query(
      `INSERT INTO ${table} SELECT n % 6040, n % 3900, 3.5, 1700000000 + n, 'batch_w' || n % 50, now()
       FROM generate_series(${from + 1}, ${to}) AS n`,
    );
  await pool.query("VACUUM ANALYZE");
}

async function measureGather(size: number): Promise<void> {
  const times: Record<Kind, number[]> = { without: [], with: [] };
  for (let pair = -1; pair < (size < MANY_ROWS ? GATHERS : 1); pair += 1)
    for (const kind of ["without", "with"] as const) {
      const startedAt = performance.now();
      const { buffer } = await database.fetchEvidence(kind, CONFIGS[kind]);
      if (pair >= 0) times[kind].push(performance.now() - startedAt);
      const by = kind === "with" ? "counter" : "query";
      if (buffer.size !== size || buffer.counted?.by !== by)
        throw new Error(`${kind}: ${JSON.stringify(buffer)}`);
    }
  const [counter] = await database.listCounters();
  if (!counter) throw new Error("there is no counter");
  await database.removeCounter(counter, console.error);
  const startedAt = performance.now();
  await install(database);
  const seconds = (performance.now() - startedAt) / 1000;
  const figures = [median(times.without).toFixed(0), median(times.with).toFixed(1), seconds.toFixed(1)];
  console.log(`| ${[size.toLocaleString("en"), ...figures].join(" | ")} |`);
}

/** Gather with a counter: with a week of checks, decisions and events, and with a million of each. */
async function measureHistory(): Promise<void> {
  const gatherOnce = (): Promise<unknown> => database.fetchEvidence("with", CONFIGS.with);
  const evidence = await database.fetchEvidence("with", CONFIGS.with);
  const trainer = (await createTrainers(parseConfig(ENVIRONMENT), createRedactor(new Map()))).of("default");
  const verdict = evaluate(evidence, GUIDE_POLICY);
  const judged = {
    runId: createRunId(),
    model: "with",
    cause: "event",
    evidence,
    policy: GUIDE_POLICY,
    verdict,
  };
  await database.recordDecision(draftRecord(judged, trainer));
  const figures: string[] = [];
  for (const isWeek of [true, false]) {
    for (const sql of fillHistory(isWeek)) await pool.query(sql);
    figures.push(median(await timeEach(gatherOnce)).toFixed(1));
  }
  console.log("| gather p50 with a counter, ms: a week's history | 1 M checks, decisions and events |");
  console.log("| ---: | ---: |");
  console.log(`| ${figures.join(" | ")} |`);
}

async function timeEach(run: () => Promise<unknown>): Promise<number[]> {
  await run();
  const times: number[] = [];
  for (let index = 0; index < GATHERS; index += 1) {
    const startedAt = performance.now();
    await run();
    times.push(performance.now() - startedAt);
  }
  return times;
}

function median(list: readonly number[]): number {
  return quantile(list, 0.5);
}
