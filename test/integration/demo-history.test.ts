import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { evaluate, type Verdict } from "../../src/core/evaluate.ts";
import { Evidence } from "../../src/core/evidence.ts";
import { Policy } from "../../src/core/policy.ts";
import { DEMO_CONFIG, loadHistory } from "../../src/demo/history/history.ts";
import { hashPolicy } from "../../src/postgres/canonical-hash.ts";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { reportShadow } from "../../src/use-cases/shadow-report.ts";
import { createWorld, until, withQueue, type World } from "../support/world.ts";

interface Row {
  id: number;
  model: string;
  decision: string;
  reason: string;
  buffer_size: string;
  drift_score: number | null;
  evidence: unknown;
  criteria: unknown;
  policy: unknown;
  policy_hash: string;
}

let world: World;
let database: Database;
let startedAt: string;

beforeAll(async () => {
  world = await createWorld({ isEmpty: true, settings: { RETRIGGER_CONFIG: DEMO_CONFIG } });
  database = createDatabase(world.config, createLogger("silent"));
  await database.migrate();
  startedAt = (await world.sql("SELECT now()::text AS at"))[0]?.["at"] as string;
  await loadHistory(world.config, 1);
}, 60_000);

afterAll(async () => {
  await database.close();
  await world.close();
});

function listDecisions(model: string): Promise<Row[]> {
  return world.sql<Row>("SELECT * FROM retraining_decisions WHERE model = $1 ORDER BY id", [model]);
}

/** The verdict that a row's own evidence and policy lead to. */
function judge({ evidence, policy }: Row): Verdict {
  return evaluate(Evidence.parse(evidence), Policy.parse(policy));
}

async function latestOf(model: string): Promise<Row> {
  return (await listDecisions(model)).at(-1) as Row;
}

describe("the history of the demo", { timeout: 60_000 }, () => {
  it("has the six quiet weeks of the team's simulation", async () => {
    const weeks = await listDecisions("cinematch");
    expect(weeks.map(({ decision, reason, buffer_size: size }) => [decision, reason, Number(size)])).toEqual(
      [1, 2, 3, 4, 5, 6].map((week) => ["no_action", "no_drift_alerts", week * 100_000]),
    );
    const [newest] = Evidence.parse(weeks[5]?.evidence).checks.newest;
    expect(newest).toMatchObject({ feature: "rating_distribution_ks", score: 0.014 });
  });

  it("has no verdict but those of the rows' own evidence and policy, which is the one in force", async () => {
    for (const [model, { policy }] of world.config.models) {
      const rows = await listDecisions(model);
      expect(rows.length, model).toBeGreaterThanOrEqual(model === "cinematch" ? 6 : 28);
      for (const row of rows) {
        const verdict = judge(row);
        expect(row.decision.replace("_mock", "")).toBe(verdict.decision);
        expect(row).toMatchObject({
          reason: verdict.reason,
          drift_score: verdict.driftScore,
          criteria: JSON.parse(JSON.stringify(verdict.criteria)) as unknown,
          policy_hash: hashPolicy(policy),
        });
      }
    }
  });

  it("dates everything in the past, each decision at the time of its evidence", async () => {
    const columns = await world.sql<{ table: string; column: string }>(
      `SELECT table_name AS table, column_name AS column FROM information_schema.columns
       WHERE table_schema = 'public' AND table_name ~ '^retrain|^retrigger_audit' AND data_type = 'timestamp with time zone'
         AND column_name NOT IN ('next_look_at', 'expires_at')`,
    );
    expect(columns.length).toBeGreaterThan(15);
    const late: string[] = [];
    for (const { table, column } of columns)
      if ((await world.sql(`SELECT FROM ${table} WHERE ${column} > $1`, [startedAt])).length > 0)
        late.push(`${table}.${column}`);
    expect(late).toEqual([]);
    const torn = await world.sql(
      `SELECT FROM retraining_decisions
       WHERE decision_date AT TIME ZONE 'UTC' <> taken_at OR taken_at <> (evidence ->> 'takenAt')::timestamptz
         OR next_look_at <= taken_at`,
    );
    expect(torn).toEqual([]);
  });

  it("has covered every event", async () => {
    const [events] = await world.sql(
      "SELECT count(*)::int AS count, count(decision_id)::int AS covered FROM retraining_events",
    );
    expect(events).toEqual({ count: 62, covered: 62 });
  });

  it("lets fraud await an approval within its budget, after a training that a person approved", async () => {
    const latest = await latestOf("fraud");
    expect(latest.reason).toBe("awaiting_approval");
    expect(judge(latest).guards.find(({ id }) => id === "budget")).toMatchObject({ actual: 0, passed: true });
    const approvals = await world.sql(
      `SELECT state, answered_by AS by, expires_at > now() AS "isValid", settled_by AS "usedBy"
       FROM retraining_approvals ORDER BY id`,
    );
    const trigger = (await listDecisions("fraud")).find(({ decision }) => decision === "trigger_mock");
    expect(approvals).toEqual([
      { state: "used", by: "Mira", isValid: false, usedBy: trigger?.id },
      { state: "open", by: null, isValid: true, usedBy: null },
    ]);
  });

  it("holds search by its cooldown, after trainings that failed and succeeded", async () => {
    const latest = await latestOf("search");
    expect(latest).toMatchObject({ decision: "no_action", reason: "cooldown" });
    expect(Date.parse(judge(latest).nextLookAt ?? "")).toBeGreaterThan(Date.now());
    const trainings = await world.sql(
      `SELECT state, conclusion, duration_seconds::int AS seconds, (ended_at - started_at)::text AS took
       FROM retraining_dispatches WHERE model_name = 'search' ORDER BY decision_id`,
    );
    expect(trainings).toEqual([
      { state: "failed", conclusion: "failure", seconds: 372, took: "00:06:12" },
      { state: "succeeded", conclusion: "success", seconds: 1463, took: "00:24:23" },
      { state: "succeeded", conclusion: "success", seconds: 1518, took: "00:25:18" },
    ]);
  });

  it("has a shadow policy of search that would have trained for a weak drift", async () => {
    const report = await reportShadow(world.config.models, database, { model: "search", since: "90d" });
    expect(report.disagreements).toMatchObject([
      {
        decided: { decision: "no_action" },
        shadow: { decision: "trigger", why: expect.stringContaining("click_psi (0.224") as string },
      },
    ]);
    expect(report.agreement).toBeGreaterThan(80);
  });

  it("leaves nothing of the simulation behind", async () => {
    expect(
      await world.sql(
        `SELECT nspname AS name FROM pg_namespace WHERE nspname LIKE '%past%'
         UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE '%past%'
         UNION ALL SELECT proname FROM pg_proc WHERE proname IN ('now', 'clock_timestamp', 'set_dates')
           AND pronamespace <> 'pg_catalog'::regnamespace`,
      ),
    ).toEqual([]);
  });

  it("leaves the service nothing to do but the guide's event", async () => {
    const idle = { isOverdue: false, isNew: false, openRunIds: [] };
    expect(await database.listModelStates(world.config.models)).toMatchObject([
      { model: "fraud", ...idle },
      { model: "search", ...idle },
    ]);
    const [{ count } = {}] = await world.sql("SELECT count(*)::int FROM retraining_decisions");
    await world.startApp();
    const summary = await world.decide({ model: "cinematch" });
    expect(summary).toMatchObject({ decision: "trigger_mock", reason: "drift_detected" });
    const [{ count: after } = {}] = await world.sql("SELECT count(*)::int FROM retraining_decisions");
    expect(after).toBe(Number(count) + 1);
    expect(await latestOf("cinematch")).toMatchObject({ drift_score: 0.0975, buffer_size: "700000" });
    const [alert] = await world.sql("SELECT id FROM drift_alerts WHERE alert_triggered");
    expect(alert).toEqual({ id: 148 });
    const expected = [(await latestOf("fraud")).id, (await latestOf("search")).id];
    await until("the follow-ups wait", () =>
      withQueue(world, "drift_monitoring", async (queue) => {
        const ids = (await queue.getDelayed()).map(({ id }) => id);
        return ["fraud", "search"].every((model, index) =>
          ids.includes(`next-look-${model}-${expected[index]}`),
        );
      }),
    );
  });
});
