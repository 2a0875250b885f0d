import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { DecisionSummary } from "../../src/core/report/decision-summary.ts";
import { runScript } from "../support/process.ts";
import { addCheck, createWorld, type World } from "../support/world.ts";
import { NO_REDIS, redisAt } from "../support/redis-settings.ts";

let world: World;

function retrigger(args: string[], settings: Record<string, string> = {}) {
  return runScript("src/cli.ts", args, { ...world.settings, ...settings });
}

beforeAll(async () => {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" }, isUnmigrated: true });
  await addCheck(world);
});
afterAll(() => world.close());

describe("npx retrigger", () => {
  it("diagnoses without writing anything", async () => {
    expect((await retrigger(["doctor"])).stdout).toContain("Migrations have not run: 001_decisions");
    expect(await world.sql("SELECT 1 FROM pg_class WHERE relname LIKE 're%ig%'")).toEqual([]);
  });

  it("migrates, once", async () => {
    expect(await retrigger(["migrate"])).toMatchObject({
      code: 0,
      stdout:
        "Migrated: 001_decisions, 002_open_runs, 003_trainings, 004_codes_and_versions, 005_policies, 006_reports, 007_check_notes, 008_access, 009_pages, 010_owner_functions, 011_trust, 012_counters, 013_search_paths\n",
    });
    expect(await retrigger(["migrate"])).toMatchObject({ code: 0, stdout: "The tables are up to date.\n" });
  });

  it("shows in a dry run what it would decide, and writes nothing", async () => {
    const { code, stdout } = await retrigger(["decide", "--dry-run", "--json"]);
    expect(code).toBe(0);
    const summary = DecisionSummary.parse(JSON.parse(stdout));
    expect(summary).toMatchObject({ decision: "trigger_mock", decisionId: null, decidedAt: null });
    expect(summary.report).toContain("DRY RUN");
    expect(await world.sql("SELECT 1 FROM retraining_decisions")).toEqual([]);
  });

  it("decides on its own if no worker runs, and prints one JSON object", async () => {
    const { code, stdout, stderr } = await retrigger(["decide", "--wait", "--json"]);
    expect(code).toBe(0);
    expect(stderr).toContain("No worker is running");
    const summary = JSON.parse(stdout) as DecisionSummary;
    expect(Object.keys(summary)).toEqual([
      "runId",
      "model",
      "decision",
      "reason",
      "bufferSize",
      "driftScore",
      "feature",
      "criteria",
      "condition",
      "guards",
      "forced",
      "explanation",
      "dispatch",
      "decisionId",
      "decidedAt",
      "nextLookAt",
      "report",
    ]);
    expect(summary).toMatchObject({
      decision: "trigger_mock",
      driftScore: 0.0975,
      feature: "rating_distribution_ks",
      decisionId: 1,
    });
    expect(summary.criteria).toMatchObject([
      { id: "recent_drift_checks", required: 1, actual: 1, passed: true },
      { id: "drift_alerts", required: 1, actual: 1, passed: true },
      { id: "buffer_size", required: 0, actual: 0, passed: true },
    ]);
    expect(await world.sql("SELECT cause FROM retraining_decisions")).toEqual([{ cause: "manual" }]);
  });

  it("sends an event about which a worker decides, and lists the decision", async () => {
    const sent = await retrigger(["emit", "--run-id", "drift-7"]);
    expect(sent).toMatchObject({ code: 0 });
    expect(sent.stderr).toContain("No worker is running, so the request waits");
    const decided = await retrigger(["decide", "--wait"]);
    expect(decided.stdout).toContain("by decision #1");
    const { stdout } = await retrigger(["history", "--json"]);
    const rows = JSON.parse(stdout) as { reason: string; cause: string }[];
    expect(rows.at(-1)).toMatchObject({ reason: "drift_detected" });
    expect(rows.some(({ cause }) => cause === "event")).toBe(true);
    expect((await retrigger(["history"])).stdout).toMatch(/^✅ #\d+ .*\n {3}already_acted_on/);
  });

  it.each([[["migrate"]], [["decide", "--dry-run"]], [["history"]]])("%j needs no Redis", async (args) => {
    const settings = { ...world.settings, ...redisAt("") };
    expect(await runScript("src/cli.ts", args, settings)).toMatchObject({ code: 0, stderr: "" });
  });

  it.each([[["decide"]], [["emit"]], [["doctor"]]])("%j says that it needs Redis", async (args) => {
    const settings = { ...world.settings, ...redisAt("") };
    const { code, stderr } = await runScript("src/cli.ts", args, settings);
    expect(code).toBe(1);
    expect(stderr).toContain(
      "REDIS_URL is not set: set it to the Redis server, such as redis://localhost:6379",
    );
  });

  it("lists the decisions of a model that is no longer in the settings", async () => {
    await world.sql(
      "INSERT INTO retraining_decisions (model, decision_date, decision, reason) VALUES ('retired', now(), 'no_action', 'no_drift_alerts')",
    );
    const { code, stdout } = await retrigger(["history", "--model", "retired"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^✅ #\d+ .* \| retired \| no_action/);
  });

  it("finds each problem, and says in one line what to do", async () => {
    const before = await retrigger(["doctor"], { SCHEDULE: "0 6 * * *" });
    expect(before.code).toBe(0);
    expect(before.stdout).toContain("✅ default: all of (recentDriftChecks 7d, driftAlerts 1, bufferSize 0)");
    expect(before.stdout).toContain("✅ default: drift_alerts has 1 check, the newest of 20");
    expect(before.stdout).toContain("⚠️  default: the schedule 0 6 * * * is not running");
    expect(before.stdout).toContain("Redis evicts nothing");

    await world.startApp();
    const after = await retrigger(["doctor"]);
    expect(after.stdout).not.toContain("❌");
    expect(after).toMatchObject({ code: 0, stderr: "" });

    const lost = await retrigger(["doctor"], {
      DRIFT_ALERTS_TABLE: "nowhere.alerts",
      ...NO_REDIS,
    });
    expect(lost.code).toBe(1);
    expect(lost.stdout).toContain("the table or view nowhere.alerts does not exist");
    expect(lost.stdout).toContain("Cannot reach Redis at 127.0.0.1:1");
  });

  it.each([
    ["migrate"],
    ["emit"],
    ["report-checks"],
    ["report-buffer"],
    ["decide"],
    ["dispatch"],
    ["history"],
    ["doctor"],
  ])("explains %s", async (command) => {
    const { code, stdout } = await retrigger([command, "--help"]);
    expect(code).toBe(0);
    expect(stdout).toContain(`Usage: retrigger ${command}`);
  });

  it.each([
    [["decide", "--model", "books"], {}, 'model: "books" is not in the settings'],
    [["history", "--model", "typo"], {}, 'model: "typo" is not in the settings (known models: default)'],
    [
      ["history", "--model", "typo", "--json"],
      {},
      'model: "typo" is not in the settings (known models: default)',
    ],
    [["emit", "--status", "done"], {}, 'status is "done"'],
    [["history", "--limit", "none"], {}, "whole number"],
    [["decide"], NO_REDIS, "Cannot reach Redis"],
    [["decide"], redisAt("redis://no.such.host.invalid"), "Unknown host in REDIS_URL"],
    [["history"], { DATABASE_URL: "postgres://no.such.host.invalid/db" }, "Unknown host in DATABASE_URL"],
    [["history"], { PORT: "-1" }, 'PORT is "-1"'],
    [["destroy"], {}, "unknown command"],
  ])("%j fails with exit code 1 and says why", async (args, settings: Record<string, string>, message) => {
    const { code, stderr } = await retrigger(args, settings);
    expect(code).toBe(1);
    expect(stderr).toContain(message);
  });
});
