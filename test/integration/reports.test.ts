import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { INBOX } from "../../queues/names.ts";
import { Policy } from "../../src/core/policy.ts";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import type { Sources } from "../../src/settings/sources.ts";
import { runScript } from "../support/process.ts";
import { createWorld, withQueue, type World } from "../support/world.ts";

const REPORTED: Sources = {
  checks: { kind: "reported" },
  buffer: { kind: "reported", unit: "events", since: null },
  database: null,
};
const POLICY = Policy.parse({
  when: { all: [{ driftAlerts: 1 }, { any: [{ bufferGrowth: 10 }, { waitingCost: { hourWorth: 1 } }] }] },
});

let world: World;
let database: Database;
let directory: string;
beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), "reports-"));
  world = await createWorld({ isEmpty: true });
  database = createDatabase(world.config, createLogger("silent"));
  await database.migrate();
});
afterEach(async () => {
  await world.sql("TRUNCATE retraining_reported_checks, retraining_reported_growth");
  await world.sql("TRUNCATE retraining_decisions CASCADE");
});
afterAll(async () => {
  await database.close();
  await world.close();
  await rm(directory, { recursive: true });
});

const read = (source = REPORTED) =>
  database.fetchEvidence("default", {
    policy: POLICY,
    source,
    trainer: { name: "mock" },
    expectDriftRunEveryMs: null,
  });

describe("reported checks and growth", () => {
  it("are a source without any table", async () => {
    expect(await read()).toMatchObject({
      checks: { total: 0 },
      buffer: { size: 0, grown: 0, unit: "events" },
    });
    const report = { runId: "run-1", source: "nightly" };
    const checks = [
      { feature: "ks", score: 0.2, threshold: 0.1, samples: 500 },
      { feature: "mean", score: 0.1, threshold: 0.1 },
      { feature: "std", score: 0, triggered: true, checkedAt: "2020-01-01T00:00:00" },
    ];
    expect(await database.saveChecks("default", checks, report)).toBe(3);
    await database.saveChecks("other", checks, report);
    const dayAgo = new Date(Date.now() - 86_400_000).toISOString();
    expect(await database.saveGrowth("default", { rows: 20, batch: "w1", at: dayAgo })).toBe(true);
    await database.saveGrowth("default", { rows: 5, batch: "w1" });
    await database.saveGrowth("default", { rows: 2 });
    await database.saveGrowth("other", { rows: 100 });
    const evidence = await read();
    expect(evidence).toMatchObject({
      isGuide: false,
      checks: { total: 2, triggered: 1 },
      weighed: [{ feature: "ks", score: 0.2, threshold: 0.1, samples: 500, triggered: true }],
      buffer: { size: 27, batchCount: 2, grown: 27, waiting: { rows: 27 } },
    });
    expect(evidence.buffer.waiting?.rowDays).toBeCloseTo(20, 2);
    expect(evidence.buffer.batches.map(({ batch, ratings }) => [batch, ratings])).toEqual([
      ["w1", 25],
      [null, 2],
    ]);
  });

  it("may have a verdict without a score, and notes", async () => {
    const checks = [
      { feature: "ks", score: null, triggered: true, notes: "distribution moved" },
      { feature: "mean", triggered: false },
    ];
    await database.saveChecks("default", checks, { runId: "run-1", source: null });
    const evidence = await read();
    expect(evidence).toMatchObject({
      checks: { total: 2, triggered: 1 },
      weighed: [{ feature: "ks", score: null, threshold: null, triggered: true }],
    });
    expect(evidence.checks.newestTriggered).toMatchObject([
      { feature: "ks", score: null, notes: "distribution moved" },
    ]);
  });

  it("count since the last successful training", async () => {
    const twoDaysAgo = new Date(Date.now() - 2 * 86_400_000).toISOString();
    await database.saveGrowth("default", { rows: 20, at: twoDaysAgo });
    await database.saveGrowth("default", { rows: 5 });
    await world.sql(
      `WITH decision AS (
         INSERT INTO retraining_decisions (run_id, model, decision, trainer, taken_at, buffer_size)
         VALUES (gen_random_uuid(), 'default', 'trigger_mock', 'mock', now() - interval '1 day', 20) RETURNING id)
       INSERT INTO retraining_dispatches (decision_id, model_name, trainer, state, request, created_at)
       SELECT id, 'default', 'mock', 'sent', '{}', now() - interval '1 day' FROM decision`,
    );
    expect((await read()).buffer).toMatchObject({ size: 25, grown: 5, waiting: { rows: 5 } });
    const since: Sources = {
      ...REPORTED,
      buffer: { kind: "reported", unit: "events", since: "lastTraining" },
    };
    expect((await read(since)).buffer).toMatchObject({ size: 5, grown: 5 });
  });

  it("are saved once, however often they are reported", async () => {
    const report = { runId: "run-1", source: null };
    await database.saveChecks("default", [{ feature: "ks", score: 0.2, threshold: 0.1 }], report);
    const again = [
      { feature: "ks", score: 0.9, threshold: 0.1 },
      { feature: "mean", score: 0.1, threshold: 0.1 },
    ];
    expect(await database.saveChecks("default", again, report)).toBe(1);
    expect((await read()).weighed).toMatchObject([{ score: 0.2 }]);
    expect(await database.saveGrowth("default", { rows: 3, id: "load-1" })).toBe(true);
    expect(await database.saveGrowth("default", { rows: 3, id: "load-1" })).toBe(false);
    expect((await read()).buffer.size).toBe(3);
  });
});

// Each command is a process of its own.
describe("npx retrigger", { timeout: 90_000 }, () => {
  const retrigger = (...args: string[]) => runScript("src/cli.ts", args, world.settings);

  async function withFile(content: string): Promise<string> {
    const path = join(directory, `checks-${Math.random()}.json`);
    await writeFile(path, content);
    return path;
  }

  it("report-checks saves the checks of a run once, and sends its event", async () => {
    const file = await withFile(
      '{"feature":"ks","score":0.2,"threshold":0.1}\n\n{"feature":"mean","score":1,"triggered":false,"samples":20}\n',
    );
    const args = ["report-checks", "--run", "nightly-7", "--file", file];
    const { code, stdout, stderr } = await retrigger(...args);
    expect({ code, stdout }).toMatchObject({ code: 0 });
    expect(stdout).toContain("Saved 2 check(s) of default.");
    expect(stdout).toContain("runId nightly-7");
    expect(stderr).toContain("set checks: reported in its source");
    expect((await retrigger(...args, "--no-event")).stdout).toBe(
      "Saved 0 check(s) of default. 2 had been reported by this run before.\n",
    );
    const jobs = await withQueue(world, INBOX, (queue) => queue.getWaiting());
    expect(jobs.map(({ data }) => data as unknown)).toMatchObject([
      { model: "default", runId: "nightly-7", status: "success", source: "retrigger report-checks" },
    ]);
    const rows = await world.sql(
      "SELECT feature, triggered, samples, run_id FROM retraining_reported_checks ORDER BY id",
    );
    expect(rows).toEqual([
      { feature: "ks", triggered: true, samples: null, run_id: "nightly-7" },
      { feature: "mean", triggered: false, samples: "20", run_id: "nightly-7" },
    ]);
  });

  it("report-checks names every fault with its position, and saves nothing", async () => {
    const file = await withFile(
      JSON.stringify([
        { feature: "ks", score: "0.2", threshold: 0.1 },
        { feature: "", score: 1, threshold: 1, samples: -1 },
        { feature: "ks", score: 1 },
        { feature: "ks", threshold: 1 },
        { feature: "ks", score: 1, threshold: 1, notes: "a\nb" },
        { feature: "ks", score: 1, threshold: 1, checkedAt: "yesterday" },
        "ks",
        { feature: "std", score: 1, threshold: 1 },
      ]),
    );
    const { code, stderr } = await retrigger("report-checks", "--no-event", "--run", "r", "--file", file);
    expect(code).toBe(1);
    for (const fault of [
      "checks[0].score must be a number",
      "checks[1].feature must not be empty",
      "checks[1].samples must be a whole number, at least 0",
      "checks[2].threshold must be given, or else triggered",
      "checks[3].score must be a number, or else triggered must be given",
      "checks[4].notes must be a text of at most 500 characters",
      "checks[5].checkedAt must be an ISO 8601 time",
      "checks[6] must be an object with feature and score",
    ])
      expect(stderr).toContain(fault);
    expect(await world.sql("SELECT FROM retraining_reported_checks")).toEqual([]);
  });

  it.each([
    ["[{", "it is not a complete JSON array"],
    ["{}\nx", "line 2 is not JSON"],
    ["", "it contains no check"],
    [
      '[{"feature":"a","score":1,"triggered":true},{"feature":"a","score":2,"triggered":true}]',
      'checks[1].feature is "a" again',
    ],
  ])("report-checks refuses %s", async (content, fault) => {
    const file = await withFile(content);
    const { code, stderr } = await retrigger("report-checks", "--no-event", "--run", "r", "--file", file);
    expect(code).toBe(1);
    expect(stderr).toContain(fault);
  });

  it("emit saves the checks of a detector's report under the run id of its event", async () => {
    const file = "test/fixtures/detectors/evidently.json";
    const args = ["emit", "--run-id", "nightly-8", "--evidently", file];
    const { code, stdout, stderr } = await retrigger(...args);
    expect({ code, stderr }).toMatchObject({ code: 0 });
    expect(stdout).toContain("Evidently: 4 check(s), 2 with drift.\nSaved 4 check(s) of default.\n");
    expect(stdout).toContain("runId nightly-8");
    expect(stderr).toContain("Not used: metrics[4]: RowCount is no drift metric");
    expect((await retrigger(...args)).stdout).toContain("4 had been reported by this run before.");
    const jobs = await withQueue(world, INBOX, (queue) => queue.getWaiting());
    expect(jobs.filter(({ data }) => (data as { runId: string }).runId === "nightly-8")).toHaveLength(2);
    const evidence = await read();
    expect(evidence.checks).toMatchObject({ total: 4, triggered: 2 });
    expect(evidence.weighed).toHaveLength(2);
    expect(evidence.checks.newestTriggered.find(({ feature }) => feature === "age")).toMatchObject({
      score: 3,
      notes: "K-S p_value 0.001 < 0.05",
    });
  });

  it.each([
    [["--evidently", "test/fixtures/detectors/nannyml.json"], "the document is an array of 3"],
    [["--evidently", "absent.json"], "--evidently: cannot read absent.json"],
    [["--alibi-detect", "package-lock.json"], "expected an object with data and meta"],
    [
      ["--alibi-detect", "README.md"],
      "--alibi-detect: README.md is no JSON: expected a report of Alibi Detect",
    ],
    [["--sagemaker", "a.json", "--evidently", "b.json"], "cannot be used with option"],
  ])("emit refuses %j, and sends nothing", async (args, fault) => {
    const before = await withQueue(world, INBOX, (queue) => queue.getWaitingCount());
    const { code, stderr } = await retrigger("emit", ...args);
    expect(code).not.toBe(0);
    expect(stderr).toContain(fault);
    expect(await withQueue(world, INBOX, (queue) => queue.getWaitingCount())).toBe(before);
    expect(await world.sql("SELECT FROM retraining_reported_checks")).toEqual([]);
  });

  it("report-buffer saves a report once, and says what is wrong with one", async () => {
    const args = ["report-buffer", "--rows", "1200", "--batch", "w1", "--id", "load-1"];
    expect(await retrigger(...args)).toMatchObject({
      code: 0,
      stdout: "Saved: 1,200 ratings of default.\n",
    });
    expect((await retrigger(...args)).stdout).toContain("reported as load-1 before");
    const { code, stderr } = await retrigger("report-buffer", "--rows", "many", "--at", "noon");
    expect(code).toBe(1);
    expect(stderr).toContain('rows is "many": must be a whole number of rows');
    expect(stderr).toContain('at is "noon": must be an ISO 8601 time');
    expect((await retrigger("report-buffer", "--model", "nobody", "--rows", "1")).stderr).toContain(
      "not in the settings",
    );
  });
});
