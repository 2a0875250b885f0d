import { mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { parseConfig, type Config } from "../../src/config/config.ts";
import { evaluate } from "../../src/core/evaluate.ts";
import { openPast, type Past } from "../../src/demo/history/past.ts";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import type { KeptBecause } from "../../src/postgres/prune/kept-sql.ts";
import { prune } from "../../src/use-cases/prune/prune.ts";
import { createWorld, type World } from "../support/world.ts";

const DAY = 86_400_000;
const NOW = Date.parse("2026-06-01T12:00:00Z");
const FILE = join(process.cwd(), ".data", "prune-evidence.yaml");

const SOURCE = { checks: "reported", buffer: { reported: true } };
const trainer = { command: { command: ["true"], workingDirectory: "." } };
/** Together they read everything that decisions leave behind. */
const MODELS = {
  plain: {
    source: SOURCE,
    trainer: "mock",
    policy: { when: [{ driftAlerts: 1 }, { bufferSize: 10 }] },
    shadow: { when: { driftAlerts: { atLeast: 1, within: "60d" } } },
  },
  aging: {
    source: SOURCE,
    trainer,
    policy: {
      when: [{ any: [{ maxAge: "60d" }, { waitingCost: { hourWorth: 100 } }] }],
      guards: {
        cooldown: { for: "30d", since: "success" },
        budget: { atMost: 2, per: "75d" },
        retryBackoff: "12h",
      },
    },
  },
  asked: {
    source: SOURCE,
    trainer,
    policy: {
      when: [{ driftAlerts: { atLeast: 1, within: "60d" } }, { bufferGrowth: 5 }],
      guards: { approval: { expires: "48h" }, totalBudget: { atMost: 3, per: "40d" } },
    },
    shadow: { guards: { budget: { atMost: 2, per: "50d" } } },
  },
  serial: {
    source: { checks: "reported", buffer: { reported: true, since: "lastTraining" } },
    trainer,
    expectDriftRunEvery: "1d",
    policy: { when: [{ consecutiveRuns: 2 }], guards: { cooldown: { for: "45d", since: "training" } } },
  },
};
type ModelName = keyof typeof MODELS;

let world: World;
let past: Past;
let database: Database;
let config: Config;

beforeAll(async () => {
  await mkdir(join(process.cwd(), ".data"), { recursive: true });
  await writeFile(FILE, JSON.stringify({ models: MODELS }));
  world = await createWorld();
  config = parseConfig({ ...world.settings, RETRIGGER_CONFIG: FILE });
  past = await openPast(world.config.databaseUrl, world.config.databaseSchema);
  await past.moveTo(NOW);
  database = createDatabase({ ...config, databaseUrl: past.databaseUrl }, createLogger("silent"));
});
afterAll(async () => {
  await database.close();
  await past.close();
  await world.close();
  await rm(FILE);
});

const mostly = <T>(value: T, weight: number) => ({ weight, arbitrary: fc.constant(value) });
// Doubles would crowd around 0.
const hours = fc.integer({ min: 1, max: 40 });
const Training = fc.record({
  state: fc.oneof(
    mostly("succeeded", 20),
    mostly("failed", 20),
    mostly("cancelled", 5),
    mostly("rejected", 3),
    ...["sent", "pending", "unknown"].map((state) => mostly(state, 1)),
  ),
  hours,
});

/** One decision of a random history, and what followed it. */
const AnyDecision = fc.record({
  model: fc.constantFrom<ModelName[]>("plain", "aging", "asked", "serial"),
  daysAgo: fc.integer({ min: 0, max: 300 * 1440 }).map((minutes) => minutes / 1440),
  writer: fc.constantFrom("own", "own", "own", "own", "dag", "old"),
  size: fc.integer({ min: 0, max: 100 }),
  training: fc.oneof(mostly(null, 4), { weight: 1, arbitrary: Training }),
  approval: fc.oneof(mostly(null, 9), {
    weight: 1,
    arbitrary: fc.constantFrom("open", "approved", "rejected", "used", "void"),
  }),
  alertDaysBefore: fc.option(
    fc.integer({ min: 0, max: 9 * 24 }).map((hour) => hour / 24),
    { freq: 3 },
  ),
});
type Decided = typeof AnyDecision extends fc.Arbitrary<infer T> ? T : never;

const History = fc.record({
  decisions: fc.array(AnyDecision, { minLength: 60, maxLength: 120 }),
  beforeDays: fc.integer({ min: 30, max: 90 }),
});

async function load(decisions: readonly Decided[]): Promise<void> {
  await world.sql(
    "TRUNCATE retraining_decisions, retraining_events, retraining_reported_checks, retraining_reported_growth, retraining_pruned CASCADE",
  );
  const previous = new Map<string, number>();
  const byTime = decisions.toSorted((a, b) => b.daysAgo - a.daysAgo);
  const rows = byTime.map((decided, index) => {
    const at = NOW - decided.daysAgo * DAY;
    const iso = (ms: number): string => new Date(Math.min(ms, NOW)).toISOString();
    const { writer, training, approval, model } = decided;
    const isOwn = writer !== "dag";
    const previousId = isOwn ? (previous.get(model) ?? null) : null;
    if (isOwn) previous.set(model, index + 1);
    const state = training?.state ?? null;
    const end = at + (training?.hours ?? 0) * 3_600_000;
    return {
      id: index + 1,
      model,
      is_own: isOwn,
      is_chained: writer === "own",
      previous_id: previousId,
      at: iso(at),
      buffer_size: decided.size,
      trainer: model === "plain" ? "mock" : "command",
      state: isOwn ? state : null,
      asked_at: state === "pending" ? null : iso(at + 60_000),
      started_at: iso(at + 120_000),
      ended_at: state !== null && ["succeeded", "failed", "cancelled"].includes(state) ? iso(end) : null,
      approval: isOwn && model === "asked" ? approval : null,
      alert_at: decided.alertDaysBefore === null ? null : iso(at - decided.alertDaysBefore * DAY),
    };
  });
  await world.sql(FILL, [JSON.stringify(rows)]);
  await world.sql(`UPDATE retraining_decisions AS decision SET newest_alert_at = seen.newest, alert_ids = seen.ids FROM (
    SELECT decision.id, max(checked_at) AS newest, array_agg(known.id || '@' ||
      to_char(checked_at AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"') ORDER BY checked_at DESC) AS ids
    FROM retraining_decisions AS decision JOIN retraining_reported_checks AS known ON known.model = decision.model
      AND checked_at <= taken_at AND checked_at > taken_at - interval '7 days'
    WHERE decision.run_id IS NOT NULL GROUP BY decision.id) AS seen WHERE seen.id = decision.id`);
}

const FILL = `
WITH given AS MATERIALIZED (
  SELECT * FROM json_to_recordset($1::json) AS row (id int, model text, is_own boolean, is_chained boolean, previous_id int,
    at timestamptz, buffer_size int, trainer text, state text, asked_at timestamptz, started_at timestamptz,
    ended_at timestamptz, approval text, alert_at timestamptz)
), checks AS (
  INSERT INTO retraining_reported_checks (model, feature, score, threshold, triggered, samples, checked_at, run_id, received_at)
  SELECT model, 'ks', 0.1, 0.05, true, 10, alert_at, 'run-' || id, alert_at FROM given WHERE alert_at IS NOT NULL
), growth AS (
  INSERT INTO retraining_reported_growth (model, rows, arrived_at, received_at) SELECT model, 3, at, at FROM given
), decisions AS (
  INSERT INTO retraining_decisions (id, model, run_id, decision_date, taken_at, decision, reason, buffer_size, trainer, previous_id,
    content_sha256)
  SELECT id, model, CASE WHEN is_own THEN gen_random_uuid() END, at AT TIME ZONE 'UTC', CASE WHEN is_own THEN at END,
    CASE WHEN state IS NULL THEN 'no_action' ELSE 'trigger' END, 'any', buffer_size, CASE WHEN is_own THEN trainer END, previous_id,
    CASE WHEN is_chained THEN sha256(id::text::bytea) END
  FROM given ORDER BY id
), dispatches AS (
  INSERT INTO retraining_dispatches (decision_id, model_name, trainer, state, request, created_at, updated_at, asked_at, started_at,
    ended_at)
  SELECT id, model, trainer, state, '{}', at, COALESCE(ended_at, at), asked_at, started_at, ended_at FROM given
  WHERE state IS NOT NULL ORDER BY id
), approvals AS (
  INSERT INTO retraining_approvals (model, decision_id, state, requested_at, expires_at, answered_at)
  SELECT model, id, approval, at, at + interval '48 hours', at + interval '1 hour' FROM given WHERE approval IS NOT NULL ORDER BY id
)
INSERT INTO retraining_events (model, event_run_id, job_key, payload, outcome, received_at, decision_id)
SELECT model, 'event-' || id, 'job-' || id, '{}', 'started', at, CASE WHEN is_own THEN id END FROM given`;

/** What each model would be decided on, and to what end. */
async function judgeAll(): Promise<Record<string, string>> {
  const judged: Record<string, string> = {};
  for (const [model, own] of config.models) {
    const gathered = await database.gatherEvidence(model, own);
    const verdict = evaluate(gathered.evidence, own.policy);
    judged[model] = JSON.stringify({ ...gathered, verdict }, null, 1);
  }
  return judged;
}

const HOOKS = { onProgress: () => {}, onNote: () => {}, signal: new AbortController().signal };

function decided(model: ModelName, daysAgo: number, state?: string, more: Partial<Decided> = {}): Decided {
  const training = state === undefined ? null : { state, hours: 1 };
  return { model, daysAgo, writer: "own", size: 5, training, approval: null, alertDaysBefore: null, ...more };
}

/** For each rule, a decision that only it keeps. The first entry of a history is that decision. */
const KEPT: readonly [KeptBecause, readonly Decided[]][] = [
  ["latest", [decided("serial", 100)]],
  ["open_training", [decided("aging", 150, "unknown"), decided("aging", 20, "succeeded")]],
  [
    "recent_training",
    [
      decided("aging", 150, "failed", { training: { state: "failed", hours: 140 * 24 } }),
      decided("aging", 20, "succeeded"),
    ],
  ],
  ["alerts", [decided("asked", 55, "succeeded", { alertDaysBefore: 1 }), decided("asked", 20, "succeeded")]],
  [
    "last_success",
    [decided("asked", 150, "succeeded"), decided("asked", 25, "sent"), decided("asked", 20, "failed")],
  ],
  ["last_request", [decided("aging", 150, "failed"), decided("aging", 20, "failed")]],
  ["durations", [decided("aging", 150, "succeeded"), decided("aging", 20, "succeeded")]],
  ["budget", [decided("aging", 70, "failed"), decided("aging", 20, "succeeded")]],
  // The total budget of another model.
  ["budget", [decided("serial", 38, "failed"), decided("serial", 20, "succeeded")]],
  // What only a shadow policy sees.
  ["alerts", [decided("plain", 55, "succeeded", { alertDaysBefore: 1 }), decided("plain", 20, "succeeded")]],
  ["budget", [decided("asked", 48, "failed"), decided("asked", 20, "succeeded")]],
  ["approval", [decided("asked", 150, undefined, { approval: "used" })]],
];

const RUNS = Number(process.env["PROPERTY_RUNS"] ?? 6);

describe("pruning", { timeout: 60_000 + RUNS * 1_000 }, () => {
  it.each(KEPT)("keeps a decision because of: %s", async (because, history) => {
    const [subject] = history as [Decided];
    const { model, daysAgo } = subject;
    const others = because === "latest" ? [10, 5] : [12, 11, 10, 9, 8];
    const older = because === "latest" ? [] : [decided(model, daysAgo + 20)];
    await load([...history, ...older, ...others.map((day) => decided(model, day))]);
    const before = await judgeAll();
    const request = {
      before: { ago: "30d", at: null },
      model: null,
      archive: null,
      isDryRun: false,
    } as const;
    const { models } = await prune(config, database, request, HOOKS);
    const keptFrom = { decisionId: older.length + 1, because };
    expect(models).toMatchObject([{ model, decisions: older.length, keptFrom }]);
    expect(await world.sql("SELECT min(id) AS id FROM retraining_decisions")).toEqual([
      { id: keptFrom.decisionId },
    ]);
    expect(await judgeAll()).toEqual(before);
  });

  it("keeps the latest decision of its own, however many rows the DAG has written since", async () => {
    const rows = [12, 11, 10, 9, 8, 7].map((day) => decided("serial", day, undefined, { writer: "dag" }));
    await load([decided("serial", 120), decided("serial", 100), ...rows]);
    const request = {
      before: { ago: "30d", at: null },
      model: null,
      archive: null,
      isDryRun: false,
    } as const;
    expect((await prune(config, database, request, HOOKS)).models).toMatchObject([
      { decisions: 1, keptFrom: { decisionId: 2, because: "latest" } },
    ]);
  });

  it("changes neither the evidence nor the verdict of any model, whatever its history", async () => {
    let removed = 0;
    await fc.assert(
      fc.asyncProperty(History, async ({ decisions, beforeDays }) => {
        await load(decisions);
        const before = await judgeAll();
        const request = {
          before: { ago: `${beforeDays}d`, at: null },
          model: null,
          archive: null,
          isDryRun: false,
        } as const;
        const counted = await prune(config, database, { ...request, isDryRun: true }, HOOKS);
        const result = await prune(config, database, request, HOOKS);
        expect(result.models).toEqual(counted.models);
        removed += result.models.reduce((sum, model) => sum + model.decisions, 0);
        expect(await judgeAll()).toEqual(before);
        expect(await world.sql(FIND_BREAKS)).toEqual([]);
        const [{ left } = {}] = await world.sql(COUNT_ALL);
        expect(left).toBe(decisions.length);
        // Nothing is left for a second one.
        const again = await prune(config, database, { ...request, isDryRun: true }, HOOKS);
        expect(again.models.map((model) => model.decisions + model.events + model.checks)).toEqual(
          again.models.map(() => 0),
        );
      }),
      { numRuns: RUNS, endOnFailure: true },
    );
    expect(removed).toBeGreaterThan(RUNS * 10);
  });
});

/** Models whose oldest chained decision does not follow the newest that was removed, or that have an older one. */
const FIND_BREAKS = `
SELECT pruned.model FROM retraining_pruned AS pruned
LEFT JOIN LATERAL (SELECT previous_sha256 FROM retraining_decisions AS decision
  WHERE decision.model = pruned.model AND sha256 IS NOT NULL ORDER BY id LIMIT 1) AS oldest ON true
WHERE oldest.previous_sha256 IS DISTINCT FROM pruned.sha256 AND oldest IS NOT NULL
  OR EXISTS (SELECT FROM retraining_decisions AS decision WHERE decision.model = pruned.model AND id <= decision_id)`;
const COUNT_ALL = `SELECT ((SELECT count(*) FROM retraining_decisions) + (SELECT COALESCE(sum(decisions), 0) FROM retraining_pruned))::int AS left`;
