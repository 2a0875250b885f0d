import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { STAGES } from "../../queues/names.ts";
import type { App } from "../../src/app.ts";
import { addCheck, createWorld, failureOf, until, type World } from "../support/world.ts";

let world: World;
let app: App;

beforeEach(async () => {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
  app = await world.startApp({ role: "all" });
  await addCheck(world);
});
afterEach(() => world.close());

function board(method: string, path: string, body?: object): Promise<Response> {
  return fetch(`${app.address()}/queues/api/queues/${path}`, {
    method,
    headers: { "content-type": "application/json", origin: app.address() ?? "" },
    ...(body ? { body: JSON.stringify(body) } : {}),
  });
}

async function snapshot() {
  return {
    decisions: await world.sql("SELECT * FROM retraining_decisions ORDER BY id"),
    dispatches: await world.sql("SELECT * FROM retraining_dispatches ORDER BY id"),
    events: await world.sql("SELECT * FROM retraining_events ORDER BY id"),
  };
}

describe("Bull Board", () => {
  it.each(STAGES)("retries a completed %s without a second decision or dispatch", async (stage) => {
    const { runId } = await world.decide();
    const before = await snapshot();
    const key = `${world.config.redisPrefix}:${stage}:${runId}`;
    const finishedOn = await world.redis.hget(key, "finishedOn");
    const response = await board("PUT", `${stage}/${runId}/retry`);
    expect(response.status).toBe(204);
    await until("the stage ran again", async () => {
      const again = await world.redis.hget(key, "finishedOn");
      return again !== null && again !== finishedOn;
    });
    expect(await snapshot()).toEqual(before);
    const lock = `${world.config.redisPrefix}:decision-lock:default`;
    await until("the lock is free again", async () => (await world.redis.exists(lock)) === 0);
    expect((await world.decide()).reason).toBe("already_acted_on");
  });

  it("retries a failed stage, and the chain continues to one decision", async () => {
    await world.sql("ALTER TABLE ratings_buffer RENAME TO elsewhere");
    const failure = await failureOf(world.decide());
    const runId = /run ([0-9a-f-]{36})/.exec(failure)?.[1] ?? "";
    await world.sql("ALTER TABLE elsewhere RENAME TO ratings_buffer");
    expect((await board("PUT", `gather/${runId}/retry`)).status).toBe(204);
    await until("the decision", async () => (await world.sql("SELECT 1 FROM retraining_decisions")).length);
    const rows = await world.sql("SELECT run_id, decision FROM retraining_decisions");
    expect(rows).toEqual([{ run_id: runId, decision: "trigger_mock" }]);
  });

  it("can add an event that leads to a decision", async () => {
    const event = { name: "drift_monitoring.completed", data: { runId: "by-hand" }, options: {} };
    const response = await board("POST", "drift_monitoring/add", event);
    expect(response.status).toBe(200);
    await until("the decision", async () => (await world.sql("SELECT 1 FROM retraining_decisions")).length);
  });

  it("shows in each stage's log what the stage did", async () => {
    const { runId } = await world.decide();
    const logOf = async (stage: string): Promise<string> =>
      ((await (await board("GET", `${stage}/${runId}/logs`)).json()) as string[]).join("\n");
    expect(await logOf("gather")).toContain("📋 Recent Drift Checks:");
    expect(await logOf("evaluate")).toContain("🚨 DECISION: TRIGGER RETRAINING");
    expect(await logOf("act")).toContain("🎬 MOCK RETRAINING TRIGGER");
    expect(await logOf("summarize")).toContain("🎯 FINAL STATUS: RETRAINING TRIGGERED (MOCK)");
  });
});

describe("the pages", () => {
  it("report that the service is alive and ready, and list the decisions", async () => {
    await world.decide();
    const get = (path: string): Promise<Response> => fetch(`${app.address()}${path}`);
    expect((await get("/healthz")).status).toBe(200);
    expect(await (await get("/readyz")).json()).toEqual({ isReady: true, postgres: "up", redis: "up" });
    const { decisions } = (await (await get("/api/v1/decisions?limit=5")).json()) as { decisions: object[] };
    expect(decisions).toMatchObject([{ id: 1, decision: "trigger_mock", bufferSize: 0, dispatch: "sent" }]);
    expect(await (await get("/decisions")).text()).toContain("rating_distribution_ks");
    expect((await get("/queues")).status).toBe(200);
  });
});
