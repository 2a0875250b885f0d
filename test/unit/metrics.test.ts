import { once } from "node:events";
import type { AddressInfo } from "node:net";
import express from "express";
import { Registry } from "prom-client";
import { describe, expect, it } from "vitest";
import { limitLabels, MOST_LABELLED_MODELS, OTHER_MODELS } from "../../src/core/label-limit.ts";
import type { RouteDependencies } from "../../src/http/route.ts";
import { metrics } from "../../src/http/routes/metrics.ts";
import type { LatestGauges } from "../../src/postgres/model-gauges.ts";
import { createWorkMetrics } from "../../src/process/metrics.ts";
import { parseScrape, type Scrape, scrape } from "../support/metrics.ts";

interface Given {
  models?: readonly string[];
  dispatches?: { model: string; trainer: string; state: string; count: number }[];
  away?: "postgres" | "redis";
}

/** Scrapes a process that knows these models, each of which has a decision. */
async function scrapeProcess({ models = [], dispatches = [], away }: Given): Promise<Scrape> {
  const gauges = { takenAt: 1, nextLookAt: null, bufferSize: 5, driftRunsMissing: null, checkedAt: null };
  const features: [string, number, number][] = [["age", 0.1, 0.2]];
  const refuse = async () => {
    throw new Error("connection refused");
  };
  const dependencies = {
    config: { redisPrefix: "{test}" },
    live: { models: () => new Map(models.map((model) => [model, { expectDriftRunEveryMs: 60_000 }])) },
    database:
      away === "postgres"
        ? { ping: refuse, countDispatches: refuse, listModelGauges: refuse }
        : {
            ping: async () => {},
            countDispatches: async () => dispatches,
            listModelGauges: async (known: ReadonlyMap<string, number>): Promise<LatestGauges[]> =>
              [...known.keys()].map((model) => ({ model, id: 1, gauges: { ...gauges, features } })),
          },
    redis:
      away === "redis"
        ? { lindex: refuse, zrange: refuse }
        : { lindex: async () => null, zrange: async () => [] },
    redisWatch: { check: async () => ({ kind: away === "redis" ? "away" : "ready" }) },
    queues: [{ name: "gather", getJobCounts: away === "redis" ? refuse : async () => ({ failed: 2 }) }],
    registry: new Registry(),
  } as unknown as RouteDependencies;
  const server = express().use(metrics.create(dependencies)).listen(0, "127.0.0.1");
  await once(server, "listening");
  try {
    return await scrape(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  } finally {
    server.close();
  }
}

describe("a label of a metric", () => {
  it("cannot end early or begin another line", async () => {
    const model = 'a"} 1\nforged{x="\\';
    const { text } = await scrapeProcess({
      dispatches: [{ model, trainer: "\u001b[2J", state: "sent", count: 1 }],
    });
    expect(text).toContain(
      'retrigger_dispatches{model="a\\"} 1\\nforged{x=\\"\\\\",trainer="\\\\u001b[2J",state="sent"} 1\n',
    );
    expect(text.split("\n").filter((line) => line.startsWith("forged"))).toEqual([]);
  });
});

describe("the number of series", () => {
  const models = Array.from({ length: MOST_LABELLED_MODELS + 200 }, (_, index) => `model-${index}`);

  it("is bounded: beyond so many models, dispatches are summed and the figures of a model left out", async () => {
    const { list, value } = await scrapeProcess({
      models,
      dispatches: models.map((model) => ({ model, trainer: "mock", state: "sent", count: 2 })),
    });
    expect(list("retrigger_dispatches")).toHaveLength(MOST_LABELLED_MODELS + 1);
    expect(value("retrigger_dispatches", { model: OTHER_MODELS })).toBe(400);
    for (const name of ["retrigger_buffer_rows", "retrigger_drift_score", "retrigger_drift_runs_missing"])
      expect(list(name), name).toHaveLength(MOST_LABELLED_MODELS);
  });

  it("is bounded for the decisions that a worker counts, also across a reload", async () => {
    const registry = new Registry();
    let inForce = new Map(models.map((model) => [model, {}]));
    const { countDecision } = createWorkMetrics(registry, () => inForce);
    const count = (model: string) =>
      countDecision({ model, decision: "no_action", reason: "no_drift_alerts", receivedAt: null });
    for (const model of models) count(model);
    inForce = new Map([["added", {}]]);
    count("added");
    count("model-0");
    const { list, value } = parseScrape(await registry.metrics());
    expect(list("retrigger_decisions_total")).toHaveLength(MOST_LABELLED_MODELS + 2);
    expect(value("retrigger_decisions_total", { model: "added" })).toBe(1);
    expect(value("retrigger_decisions_total", { model: OTHER_MODELS })).toBe(201);
  });

  it("names the first models, each only once", () => {
    const labelOf = limitLabels(["a", "a", "b", "c"], 2);
    expect(["a", "b", "c", "d"].map(labelOf)).toEqual(["a", "b", OTHER_MODELS, OTHER_MODELS]);
  });
});

describe("while a server is away, /metrics", () => {
  const dispatches = [{ model: "a", trainer: "mock", state: "sent", count: 1 }];

  it("says so, and shows the jobs while it is Postgres", async () => {
    const { value, list } = await scrapeProcess({ models: ["a"], dispatches, away: "postgres" });
    expect(value("retrigger_server_up", { server: "postgres" })).toBe(0);
    expect(value("retrigger_server_up", { server: "redis" })).toBe(1);
    expect(value("bullmq_job_count", { state: "failed" })).toBe(2);
    expect(list("retrigger_dispatches")).toEqual([]);
    expect(list("retrigger_buffer_rows")).toEqual([]);
  });

  it("says so, and shows the dispatches while it is Redis", async () => {
    const { value, list } = await scrapeProcess({ models: ["a"], dispatches, away: "redis" });
    expect(value("retrigger_server_up", { server: "redis" })).toBe(0);
    expect(value("retrigger_dispatches", { model: "a" })).toBe(1);
    expect(value("retrigger_buffer_rows", { model: "a" })).toBe(5);
    expect(list("bullmq_job_count")).toEqual([]);
    expect(list("retrigger_oldest_job_age_seconds")).toEqual([]);
    // 0 would say that no schedule is late.
    expect(list("retrigger_schedule_lag_seconds")).toEqual([]);
  });
});
