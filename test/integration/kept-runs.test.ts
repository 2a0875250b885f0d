import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { STAGES } from "../../queues/names.ts";
import { addCheck, createWorld, until, type World, withQueue } from "../support/world.ts";
import { retryStage } from "../support/stages.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", RETRIGGER_GUARD: "off" } });
  await world.startApp();
});
afterEach(() => world.close());

/** The bytes in Redis of all jobs of a run, the inbox job included. */
async function measureRun(runId: string): Promise<number> {
  const { redis, config } = world;
  const keys = await redis.keys(`${config.redisPrefix}:*${runId}*`);
  const [inbox] = await redis.keys(`${config.redisPrefix}:drift_monitoring:[0-9]*`);
  const sizes = await Promise.all(
    [...keys, inbox ?? ""].map((key) => redis.memory("USAGE", key, "SAMPLES", 0)),
  );
  return sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0);
}

/** Waits until the jobs of a completed run were compacted. */
async function untilCompacted(runId: string): Promise<void> {
  const key = `${world.config.redisPrefix}:gather:${runId}`;
  await until("it is compacted", async () => {
    const result = JSON.parse((await world.redis.hget(key, "returnvalue")) ?? "{}") as object;
    return "decisionId" in result;
  });
}

describe("a completed run in Redis", () => {
  it("takes less than 15 KB with one alert, and 60 KB with 500", async () => {
    await addCheck(world);
    const first = await world.decide();
    await untilCompacted(first.runId);
    expect(await measureRun(first.runId)).toBeLessThan(15_000);
    await world.sql(
      "INSERT INTO drift_alerts (alert_date, feature_name, drift_score, threshold, alert_triggered) SELECT (now() AT TIME ZONE 'UTC') - make_interval(secs => n), 'feature_' || n, 1, 0.5, true FROM generate_series(1, 499) n",
    );
    const second = await world.decide();
    await untilCompacted(second.runId);
    expect(second.report).toContain("Triggered Alerts: 500");
    expect(await measureRun(second.runId)).toBeLessThan(60_000);
  });

  it("changes nothing when any of its stages is retried", async () => {
    await addCheck(world);
    const { runId } = await world.decide();
    await untilCompacted(runId);
    const readRows = () => world.sql("SELECT * FROM retraining_decisions");
    const readSummary = async () => {
      const text = await world.redis.hget(`${world.config.redisPrefix}:summarize:${runId}`, "returnvalue");
      return JSON.parse(text ?? "null") as unknown;
    };
    const [rows, summary] = [await readRows(), await readSummary()];
    // The evidence would be another one now.
    await world.sql("DELETE FROM drift_alerts");
    for (const stage of STAGES.toReversed()) {
      await retryStage(world, stage, runId);
      const text = await world.redis.hget(`${world.config.redisPrefix}:${stage}:${runId}`, "returnvalue");
      expect(text).not.toContain("abandoned");
    }
    expect(await readRows()).toEqual(rows);
    expect(await readSummary()).toEqual(summary);
  });

  it("keeps its summary when summarize is retried while act is", async () => {
    await addCheck(world);
    const { runId } = await world.decide();
    await untilCompacted(runId);
    const read = async () => {
      const text = await world.redis.hget(`${world.config.redisPrefix}:summarize:${runId}`, "returnvalue");
      return JSON.parse(text ?? "null") as unknown;
    };
    const summary = await read();
    await withQueue(world, "act", async (act) => {
      await act.pause();
      await (await act.getJob(runId))?.retry("completed");
      const summarizing = retryStage(world, "summarize", runId);
      await withQueue(world, "summarize", (queue) =>
        until("it waits for act", async () => (await queue.getJobState(runId)) === "delayed"),
      );
      await act.resume();
      await summarizing;
    });
    expect(await read()).toEqual(summary);
  });

  it("is abandoned when a stage is retried and its decision is gone", async () => {
    await addCheck(world);
    const { runId } = await world.decide();
    await untilCompacted(runId);
    await world.sql("DELETE FROM retraining_dispatches; DELETE FROM retraining_decisions");
    await retryStage(world, "act", runId);
    const text = await world.redis.hget(`${world.config.redisPrefix}:act:${runId}`, "returnvalue");
    expect(JSON.parse(text ?? "null")).toEqual({ outcome: "abandoned", removed: "evaluate" });
  });
});
