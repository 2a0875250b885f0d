import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { STAGES } from "../../queues/names.ts";
import type { App, Parts } from "../../src/app.ts";
import { createModelGaugeStore } from "../../src/postgres/model-gauges.ts";
import { JSON_TYPE, bearer, sendRaw } from "../support/http.ts";
import { scrape } from "../support/metrics.ts";
import {
  addCheckOf,
  addRowsOf,
  CHECKS_TABLE,
  createPolicyWorld,
  type PolicyWorld,
} from "../support/policies.ts";
import { until, withQueue } from "../support/world.ts";

const HOSTILE = 'ks"} 1\nforged{x="\\\u001b[2J';
const policy = { when: { all: [{ driftAlerts: 1 }, { bufferSize: 10 }] } };
const MODELS = {
  films: { policy, expectDriftRunEvery: "1h" },
  songs: { policy },
  books: { policy },
  games: { policy, expectDriftRunEvery: "1h" },
};

let world: PolicyWorld;
beforeAll(async () => {
  world = await createPolicyWorld(MODELS);
});
afterAll(() => world.close());

/** Starts the service alone, and returns its address. */
async function startAlone(...options: Parameters<PolicyWorld["startApp"]>): Promise<string> {
  await world.stopApps();
  const app: App = await world.startApp(...options);
  return app.address() ?? "";
}

describe("/metrics of a process with pages", () => {
  it("shows what it decided, how long that took, and where each model stands", async () => {
    const address = await startAlone({ role: "all" });
    // Drift runs are expected of two models, so a first decision about them is requested.
    await withQueue(world, "summarize", (queue) =>
      until("both are decided", async () => (await queue.getCompletedCount()) === 2),
    );
    const before = Date.now() / 1000;
    await addCheckOf(world, "films", { feature: "age", score: 0.01, fired: false, age: "2 hours" });
    await addCheckOf(world, "films", { feature: HOSTILE, score: 0.0975, threshold: 0.05, age: "60 s" });
    await addRowsOf(world, "films", 4);
    expect((await world.decide({ model: "films" })).reason).toBe("insufficient_buffer");
    const { value, list, text } = await scrape(address);
    const decided = { model: "films", decision: "no_action", reason: "insufficient_buffer" };
    expect(value("retrigger_decisions_total", decided)).toBe(1);
    expect(value("retrigger_event_to_decision_seconds_count")).toBe(1);
    expect(value("retrigger_event_to_decision_seconds_sum")).toBeLessThan(20);
    for (const stage of ["intake", ...STAGES])
      expect(value("retrigger_stage_duration_seconds_count", { stage }), stage).toBe(3);

    expect(value("retrigger_buffer_rows", { model: "films" })).toBe(4);
    const escaped = HOSTILE.replace("\n", "\\n").replace("\u001b", "\\u001b");
    const scores = list("retrigger_drift_score").map(({ labels, value: score }) => [
      labels["feature"],
      score,
    ]);
    expect(Object.fromEntries(scores)).toEqual({ age: 0.01, [escaped.replace("\\n", "\n")]: 0.0975 });
    expect(list("retrigger_drift_threshold").map(({ value: threshold }) => threshold)).toEqual([0.05, 0.05]);
    expect(value("retrigger_last_check_timestamp_seconds")).toBeCloseTo(before - 60, -1);
    const films = { model: "films" };
    expect(value("retrigger_last_decision_timestamp_seconds", films)).toBeCloseTo(before, -1);
    expect(value("retrigger_next_look_timestamp_seconds", films)).toBeCloseTo(before + 3_600, -2);
    expect(value("retrigger_drift_runs_missing", { model: "films" })).toBe(0);
    expect(value("retrigger_drift_run_interval_seconds", { model: "films" })).toBe(3_600);
    expect(value("retrigger_drift_run_interval_seconds", { model: "songs" })).toBeUndefined();

    expect(value("retrigger_server_up", { server: "postgres" })).toBe(1);
    expect(value("retrigger_server_up", { server: "redis" })).toBe(1);
    expect(value("bullmq_job_count", { queue: "summarize", state: "completed" })).toBe(3);
    expect(value("retrigger_oldest_job_age_seconds", { queue: "training" })).toBe(0);
    expect(value("retrigger_schedule_lag_seconds")).toBe(0);
    expect(value("process_resident_memory_bytes")).toBeGreaterThan(1e7);
    expect(text).not.toContain("\u001b");
  });

  it("shows all the rest while the newest check of a model has no time on a clock", async () => {
    const address = await startAlone({ role: "all" });
    await addCheckOf(world, "books", { feature: "endless", score: 0.2, fired: false });
    await world.sql(`UPDATE ${CHECKS_TABLE} SET created_at = 'infinity' WHERE metric = 'endless'`);
    await world.decide({ model: "books" });
    const { value } = await scrape(address);
    expect(value("retrigger_drift_score", { model: "books", feature: "endless" })).toBe(0.2);
    expect(value("retrigger_last_check_timestamp_seconds", { model: "books" })).toBeUndefined();
    expect(value("retrigger_server_up", { server: "postgres" })).toBe(1);
    await world.sql(`DELETE FROM ${CHECKS_TABLE} WHERE metric = 'endless'`);
  });

  it("counts a decision once, although its stage is repeated after it was recorded", async () => {
    let failures = 1;
    const replaceParts = (parts: Parts): Parts => ({
      ...parts,
      chain: {
        ...parts.chain,
        scheduleNextLook: async (look) => {
          if (look.model === "games" && failures > 0) {
            failures -= 1;
            throw new Error("the connection was lost");
          }
          await parts.chain.scheduleNextLook(look);
        },
      },
    });
    const address = await startAlone({ role: "all" }, { replaceParts });
    await addCheckOf(world, "games", { fired: false });
    await world.decide({ model: "games" });
    const { list } = await scrape(address);
    expect(failures).toBe(0);
    expect(list("retrigger_decisions_total").map(({ value }) => value)).toEqual([1]);
  });

  it("counts a superseded run by what superseded it, and the decision of its follow-up", async () => {
    let isFirst = true;
    const replaceParts = (parts: Parts): Parts => ({
      ...parts,
      database: {
        ...parts.database,
        recordDecision: async (decision) => {
          if (!isFirst) return parts.database.recordDecision(decision);
          isFirst = false;
          return { outcome: "superseded", because: "newer_decision" };
        },
      },
    });
    const address = await startAlone({ role: "all" }, { replaceParts });
    await world.decide({ model: "songs" });
    const { value, list } = await scrape(address);
    expect(value("retrigger_superseded_runs_total", { because: "newer_decision" })).toBe(1);
    expect(list("retrigger_decisions_total").map(({ labels }) => labels["model"])).toEqual(["songs"]);
    // The event waited for the follow-up; only the first run began with it.
    expect(value("retrigger_event_to_decision_seconds_count")).toBe(0);
  });
});

describe("/metrics of a worker", () => {
  it("is served on METRICS_PORT beside the health checks, and shows only what the worker did", async () => {
    const address = await startAlone({ role: "worker", metricsPort: 0 });
    await world.decide({ model: "books" });
    const { value, list } = await scrape(address);
    expect(value("retrigger_decisions_total", { model: "books" })).toBe(1);
    expect(value("process_resident_memory_bytes")).toBeGreaterThan(1e7);
    expect(list("bullmq_job_count")).toEqual([]);
    expect((await sendRaw(address, "GET", "/healthz")).status).toBe(200);
    expect((await sendRaw(address, "GET", "/readyz")).json).toMatchObject({ isReady: true });
    for (const path of ["/", "/queues", "/api/v1/models", "/login"])
      expect((await sendRaw(address, "GET", path)).status, path).toBe(404);
    expect((await sendRaw(address, "POST", "/api/v1/events", JSON_TYPE, "{}")).status).toBe(404);
  });

  it("needs the same token as the pages do, except for the health checks", async () => {
    const adminToken = "a-token-that-is-long-enough";
    const address = await startAlone({ role: "worker", metricsPort: 0, adminToken });
    expect((await sendRaw(address, "GET", "/metrics")).status).toBe(401);
    expect((await sendRaw(address, "GET", "/metrics", bearer(adminToken))).status).toBe(200);
    expect((await sendRaw(address, "GET", "/healthz")).status).toBe(200);
    expect((await sendRaw(address, "GET", "/readyz")).status).toBe(200);
  });

  it("is not served without METRICS_PORT", async () => {
    expect(await startAlone({ role: "worker" })).toBe("");
  });
});

describe("what /metrics reads of the models", () => {
  it("is found without reading the rows of other models, and the evidence only of new decisions", async () => {
    await world.sql(
      `INSERT INTO retraining_decisions (model, decision, reason, run_id, previous_id, taken_at, evidence)
       SELECT CASE WHEN n % 100 = 0 THEN 'small' ELSE 'big' END, 'trigger', 'drift_detected', gen_random_uuid(), n, now(),
         '{"checks":{"newest":[]}}' FROM generate_series(1, 5000) AS n`,
    );
    await world.sql("ANALYZE retraining_decisions");
    const pool = new pg.Pool({ connectionString: world.config.databaseUrl, max: 1 });
    const { listModelGauges } = createModelGaugeStore({ pool });
    try {
      await pool.query("BEGIN");
      const first = await listModelGauges(new Map(["big", "small", "absent"].map((model) => [model, 0])));
      expect(first.map(({ model, gauges }) => [model, gauges?.features])).toEqual([
        ["big", []],
        ["small", []],
      ]);
      const second = await listModelGauges(new Map(first.map(({ model, id }) => [model, id])));
      expect(second.map(({ gauges }) => gauges)).toEqual([null, null]);
      const { rows } = await pool.query<{ count: number }>(
        `SELECT sum(seq_tup_read + idx_tup_fetch)::int AS count FROM pg_stat_xact_user_tables
         WHERE relname = 'retraining_decisions'`,
      );
      expect(rows[0]?.count).toBeLessThan(20);
    } finally {
      await pool.end();
    }
  });

  it("is read again once a model has a newer decision", async () => {
    const address = await startAlone({ role: "all" });
    await scrape(address);
    await addRowsOf(world, "books", 7);
    await world.decide({ model: "books" });
    await until("the scrape shows the new size", async () => {
      const { value } = await scrape(address);
      return value("retrigger_buffer_rows", { model: "books" }) === 7;
    });
  });
});
