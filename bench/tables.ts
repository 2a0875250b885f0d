import pg from "pg";
import { SOURCE_TABLES } from "../src/embedded/sample-data.ts";
import { startEmbeddedServers } from "../src/embedded/servers.ts";
import { Policy } from "../src/core/policy.ts";
import type { Database } from "../src/postgres/database.ts";
import { GUIDE_TABLES } from "../src/settings/sources.ts";
import { openDatabase } from "./open-database.ts";

/**
 * Measures statements whose time must not grow with the tables: `npm run bench:tables`. One million events in seven days,
 * 100,000 decisions with 10 KB of evidence, one million dispatches.
 */
const EVENTS = 1_000_000;
const DECISIONS = 100_000;
const DISPATCHES = 1_000_000;
const MODELS = Array.from({ length: 100 }, (_, index) => `m${index}`);
const REPEATS = 20;

/** A policy that needs all the evidence there is. */
const POLICY = Policy.parse({
  when: {
    any: [
      { driftAlerts: 1 },
      { quantile: { q: 0.05 } },
      { maxAge: "60d" },
      { bufferGrowth: 1 },
      { waitingCost: { hourWorth: 1 } },
    ],
  },
  guards: { cooldown: "7d", budget: { atMost: 4, per: "90d" }, totalBudget: { atMost: 20, per: "90d" } },
});

const CONFIG = {
  policy: POLICY,
  source: {
    checks: { kind: "table", table: GUIDE_TABLES.checks, columns: {}, where: {} },
    buffer: {
      kind: "table",
      table: GUIDE_TABLES.buffer,
      columns: {},
      where: {},
      unit: "ratings",
      since: null,
    },
    database: null,
  },
  trainer: { name: "github" },
  expectDriftRunEveryMs: null,
} as const;

const servers = await startEmbeddedServers({ isDurable: false, say: console.log });
try {
  const pool = new pg.Pool({ connectionString: servers.databaseUrl, max: 2 });
  pool.on("error", () => {});
  const database = openDatabase(servers.databaseUrl);
  await pool.query(SOURCE_TABLES);
  await database.migrate();
  await fill(pool);
  await measure(pool, database);
  await database.close();
  await pool.end();
} finally {
  await servers.stop();
}

async function fill(pool: pg.Pool): Promise<void> {
  console.log("filling the tables ...");
  // Ten kilobytes that do not compress.
  await pool.query(
    `INSERT INTO retraining_decisions (run_id, model, cause, decision_date, decision, reason, reason_codes, buffer_size, trainer,
       evidence, policy, previous_id, taken_at, next_look_at)
     SELECT gen_random_uuid(), 'm' || n % 100, 'event', now() - make_interval(secs => 6 * ($1 - n)), 'no_action', 'retry_backoff',
       ARRAY['retry_backoff'], 1, 'github',
       jsonb_build_object('takenAt', now() - make_interval(secs => 6 * ($1 - n)), 'text',
         (SELECT string_agg(md5((n * 320 + part)::text), '') FROM generate_series(1, 312) AS part)),
       '{}', CASE WHEN n > 100 THEN n - 100 END, now() - make_interval(secs => 6 * ($1 - n)), now() + interval '1 hour'
     FROM generate_series(1, $1::int) AS n`,
    [DECISIONS],
  );
  // These decisions are small, because only the number of dispatches matters here.
  await pool.query(
    `INSERT INTO retraining_decisions (run_id, model, decision_date, decision, reason, trainer, previous_id)
     SELECT gen_random_uuid(), 'old' || n % 100, now(), 'trigger', 'drift_detected', 'github', $2 + n - 100
     FROM generate_series(1, $1::int) AS n`,
    [DISPATCHES, DECISIONS],
  );
  await pool.query(
    `INSERT INTO retraining_dispatches (decision_id, model_name, trainer, state, request, asked_at, ended_at, external_id)
     SELECT id, model, 'github', CASE WHEN id % 10 = 0 THEN 'failed' ELSE 'succeeded' END, '{}', now() - interval '30 days',
       now() - interval '30 days', id::text
     FROM retraining_decisions WHERE decision = 'trigger'`,
  );
  await pool.query(
    `INSERT INTO retraining_events (model, event_run_id, job_key, payload, outcome, run_id, received_at, decision_id)
     SELECT 'm' || n % 100, 'drift-' || n, 'job-' || n, '{}', 'folded', NULL, now() - make_interval(secs => 0.6 * n),
       CASE WHEN n > 200 THEN 1 END
     FROM generate_series(1, $1::int) AS n`,
    [EVENTS],
  );
  await pool.query("VACUUM ANALYZE");
}

async function measure(pool: pg.Pool, database: Database): Promise<void> {
  const { rows } = await pool.query<{ id: number; runId: string; externalId: string }>(
    `SELECT decision_id AS id, run_id AS "runId", external_id AS "externalId" FROM retraining_dispatches
     JOIN retraining_decisions ON retraining_decisions.id = decision_id ORDER BY decision_id DESC LIMIT 1`,
  );
  const { id = 0, runId = "", externalId = "" } = rows[0] ?? {};
  const statements: Record<string, () => Promise<unknown>> = {
    "reconciler: models": () => database.listModelStates(new Map(MODELS.map((model) => [model, CONFIG]))),
    "reconciler: dispatches": () => database.listOpenDispatches(),
    "findDispatch by number": () => database.findDispatch(String(id)),
    "findDispatch by run": () => database.findDispatch(runId),
    "findTraining by id": () => database.findTraining({ externalId, key: null }),
    "findTraining by key": () => database.findTraining({ externalId: "none", key: runId }),
    countDispatches: () => database.countDispatches(),
    "evidence of m1": () => database.fetchEvidence("m1", CONFIG),
    "evidence of old1": () => database.fetchEvidence("old1", CONFIG),
    readLatestDecision: () => database.readLatestDecision("m1"),
  };
  console.log("| statement              | median ms | worst ms |");
  console.log("|------------------------|----------:|---------:|");
  for (const [name, run] of Object.entries(statements)) {
    const times: number[] = [];
    for (let repeat = 0; repeat < REPEATS; repeat += 1) {
      const startedAt = performance.now();
      await run();
      times.push(performance.now() - startedAt);
    }
    const sorted = times.toSorted((a, b) => a - b);
    const cells = [sorted[REPEATS / 2], sorted.at(-1)].map((ms) => (ms ?? Number.NaN).toFixed(1));
    console.log(`| ${name.padEnd(22)} | ${cells[0]?.padStart(9)} | ${cells[1]?.padStart(8)} |`);
  }
}
