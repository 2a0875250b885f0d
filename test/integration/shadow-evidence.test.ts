import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { Evidence } from "../../src/core/evidence.ts";
import { judge } from "../../src/core/judge.ts";
import { GUIDE_POLICY, parsePolicy, type Policy } from "../../src/core/policy.ts";
import { openPast, type Past } from "../../src/demo/history/past.ts";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { REPORTED_BUFFER, REPORTED_CHECKS } from "../../src/postgres/source-definitions.ts";
import type { Sources } from "../../src/settings/sources.ts";
import { createWorld, type World } from "../support/world.ts";
import { policies, runsOf } from "../unit/policy/arbitraries.ts";

const NOW = Date.parse("2026-07-15T12:00:00Z");
/** Models by their tables: nothing, a few checks, more alerts than are listed, and checks with wrong times. */
const MODELS = ["empty", "some", "many", "future"] as const;

let world: World;
let past: Past;
let database: Database;
beforeAll(async () => {
  world = await createWorld({ isEmpty: true });
  const plain = createDatabase(world.config, createLogger("silent"));
  await plain.migrate();
  await plain.close();
  // On a clock that stands still, two readings can be compared.
  past = await openPast(world.config.databaseUrl, world.config.databaseSchema);
  await past.moveTo(NOW);
  database = createDatabase({ ...world.config, databaseUrl: past.databaseUrl }, createLogger("silent"));
  await fill();
}, 60_000);
afterAll(async () => {
  await database.close();
  await past.close();
  await world.close();
});

async function fill(): Promise<void> {
  const checks = (model: string, count: number, ago: string): string =>
    `INSERT INTO retraining_reported_checks (model, feature, score, threshold, triggered, samples, checked_at, run_id)
     SELECT '${model}', (ARRAY['ks', 'mean', 'std', 'null_rate'])[1 + n % 4], (n * 7 % 40) / 16.0, 0.5, n % 3 = 0,
       (ARRAY[NULL, 99, 100, 5000])[1 + n % 4], $1::timestamptz - ${ago}, 'run-' || n
     FROM generate_series(1, ${count}) AS n`;
  const at = [new Date(NOW)];
  await world.sql(checks("some", 40, "n * interval '17 hours'"), at);
  await world.sql(checks("many", 1_600, "n * interval '17 minutes'"), at);
  await world.sql(checks("future", 20, "(n - 5) * interval '20 hours'"), at);
  for (const model of ["some", "many", "future"]) {
    await world.sql(
      `INSERT INTO retraining_reported_growth (model, rows, batch, arrived_at)
       SELECT $1, n * 11, 'b' || n, $2::timestamptz - n * interval '9 hours' FROM generate_series(1, 12) AS n`,
      [model, new Date(NOW)],
    );
    await train(model);
  }
}

/** Trainings of the last weeks, failed and successful, for some of the checks. */
async function train(model: string): Promise<void> {
  const { alerts } = await database.fetchEvidence(model, configOf(GUIDE_POLICY));
  for (const [index, state] of ["succeeded", "failed", "succeeded", "failed"].entries())
    await world.sql(
      `WITH decision AS (
         INSERT INTO retraining_decisions
           (run_id, model, decision, trainer, buffer_size, decision_date, taken_at, newest_alert_at, alert_ids, previous_id)
         SELECT gen_random_uuid(), $1, 'trigger', 'github', 40, at AT TIME ZONE 'UTC', at, $2::timestamptz, $3,
           (SELECT max(id) FROM retraining_decisions WHERE model = $1)
         FROM (SELECT $2::timestamptz - $4 * interval '50 hours' AS at) AS decided RETURNING id, taken_at)
       INSERT INTO retraining_dispatches
         (decision_id, model_name, trainer, state, request, created_at, asked_at, started_at, ended_at)
       SELECT id, $1, 'github', $5, '{}', taken_at, taken_at, taken_at, taken_at + interval '1 hour' FROM decision`,
      [model, new Date(NOW), alerts.ids.slice(index * 2, index * 2 + 2), 4 - index, state],
    );
}

const REPORTED: Sources = {
  checks: { kind: "reported" },
  buffer: { kind: "reported", unit: "rows", since: null },
  database: null,
};

/** The same tables, as those of a database of the model's own. */
const remote = (): Sources => ({
  checks: { kind: "table", ...REPORTED_CHECKS, where: {} },
  buffer: { kind: "table", ...REPORTED_BUFFER, where: {}, unit: "rows", since: null },
  database: { variable: "FILMS_URL", url: past.databaseUrl },
});

function configOf(policy: Policy, source = REPORTED) {
  return { policy, source, trainer: { name: "github" }, expectDriftRunEveryMs: null };
}

/** What a policy and its shadow see together, and each of them alone. */
async function readAll(model: string, policy: Policy, shadow: Policy, source = REPORTED) {
  const config = configOf(policy, source);
  const { evidence, seen, shadowProblem } = await database.gatherEvidence(model, { ...config, shadow });
  expect(shadowProblem).toBeNull();
  return {
    seen,
    evidence,
    alone: await database.fetchEvidence(model, config),
    shadows: Evidence.parse({ ...evidence, ...seen }),
    shadowAlone: await database.fetchEvidence(model, configOf(shadow, source)),
  };
}

async function areAlike([model, policy, shadow]: [string, Policy, Policy], source?: Sources): Promise<void> {
  const { evidence, alone, shadows, shadowAlone } = await readAll(model, policy, shadow, source);
  expect(JSON.stringify(evidence)).toBe(JSON.stringify(alone));
  expect(judge(shadows, shadow)).toEqual(judge(shadowAlone, shadow));
}

const pairs = fc.tuple(fc.constantFrom(...MODELS), policies, policies);
const of = (when: unknown, guards: object = {}): Policy => {
  const faults: never[] = [];
  const policy = parsePolicy({ when, guards }, GUIDE_POLICY, [], faults);
  expect(faults).toEqual([]);
  return policy;
};

describe("what is gathered with a shadow policy", { timeout: 60_000 }, () => {
  it("is to the byte what it is without, and shows the shadow what it would see alone", async () => {
    await fc.assert(
      fc.asyncProperty(pairs, (pair) => areAlike(pair)),
      { numRuns: runsOf(40) },
    );
  });

  it("is so in a database of the model's own, too", async () => {
    await fc.assert(
      fc.asyncProperty(pairs, (pair) => areAlike(pair, remote())),
      { numRuns: runsOf(6) },
    );
  });

  it("shares what is the same, and counts what differs", async () => {
    const alerts = { driftAlerts: { atLeast: 1, within: "7d" } };
    const sight = async (shadow: Policy) =>
      Object.keys((await readAll("many", of(alerts), shadow)).seen ?? {}).toSorted();
    expect(await sight(of({ driftAlerts: { atLeast: 9, within: "7d" } }))).toEqual([]);
    expect(await sight(of(alerts, { cooldown: "7d" }))).toEqual(["trainings"]);
    expect(await sight(of([alerts, { bufferGrowth: 10 }]))).toEqual(["buffer", "trainings"]);
    const wide = await readAll("many", of(alerts), of({ driftAlerts: { atLeast: 1, within: "30d" } }));
    expect(wide.evidence.checks.triggered).toBeLessThan(wide.shadows.checks.triggered);
    expect(wide.evidence.alerts.ids.length).toBeGreaterThan(100);
  });

  it("is the decision's evidence, with the reason, if the sources cannot be read for the shadow", async () => {
    await world.sql(
      "CREATE VIEW plain_checks AS SELECT model, checked_at, triggered FROM retraining_reported_checks",
    );
    const columns = { checkedAt: "checked_at", triggered: "triggered" };
    const source: Sources = {
      ...REPORTED,
      checks: { kind: "table", table: "plain_checks", columns, where: { model: "some" } },
    };
    const config = configOf(of({ driftAlerts: 1 }), source);
    const gathered = await database.gatherEvidence("some", { ...config, shadow: of({ severity: 1 }) });
    expect(gathered).toMatchObject({ seen: null, evidence: await database.fetchEvidence("some", config) });
    expect(gathered.shadowProblem?.message).toContain("plain_checks has no column drift_score");
    expect(gathered.shadowProblem?.message).toContain("which severity of the shadow policy needs");
  });
});
