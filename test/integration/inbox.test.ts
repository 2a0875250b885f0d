import { Queue } from "bullmq";
import { afterEach, describe, expect, it } from "vitest";
import { createRunId } from "../../queues/run-id.ts";
import { addCheck, createWorld, holdTable, until, type World } from "../support/world.ts";
import { listKeys } from "../support/redis-keys.ts";

let world: World;
afterEach(() => world.close());

async function startWorld(settings: Record<string, string> = {}): Promise<void> {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", ...settings } });
  await world.startApp();
  await addCheck(world);
}

/** Adds a job to the inbox without our job options, and waits until it has ended. */
async function send(name: string, data: unknown) {
  const { id = "" } = await world.client.inbox.add(name, data);
  return until("the inbox job ended", async () => {
    const job = await world.client.inbox.getJob(id);
    return job?.finishedOn === undefined ? null : job;
  });
}

const EVENT = "drift_monitoring.completed";

describe("the inbox", () => {
  it("accepts an event from any BullMQ producer that knows the prefix and the queue's name", async () => {
    await startWorld();
    const producer = new Queue("drift_monitoring", {
      connection: world.redis,
      prefix: world.config.redisPrefix,
    });
    const job = await producer.add(EVENT, {
      runId: "scheduled__2026-11-22",
      completedAt: "2026-11-22T06:00:00+00:00",
      dag: "x",
    });
    await producer.close();
    const summary = await world.client.waitForDecision(job.id ?? "", { limitMs: 20_000 });
    expect(summary.decision).toBe("trigger_mock");
    const [event] = await world.sql("SELECT * FROM retraining_events");
    expect(event).toMatchObject({
      event_run_id: "scheduled__2026-11-22",
      outcome: "started",
      run_id: summary.runId,
      payload: { dag: "x" },
    });
  });

  it("decides once about the same drift run, and reports a duplicate the second time", async () => {
    await startWorld();
    const hold = await holdTable(world, "ratings_buffer");
    const first = await send(EVENT, { runId: "drift-1" });
    await hold.untilSessionWaits();
    const second = await send(EVENT, { runId: "drift-1" });
    expect(second.returnvalue).toEqual({ outcome: "duplicate", runId: first.returnvalue.runId });
    await hold.release();
    await world.client.waitForDecision(first.id ?? "", { limitMs: 20_000 });
    const late = await send(EVENT, { runId: "drift-1" });
    expect(late.returnvalue).toEqual({ outcome: "duplicate", runId: first.returnvalue.runId });
    const third = await world.decide({ runId: "drift-2" });
    expect(third.reason).toBe("already_acted_on");
    expect(await world.sql("SELECT 1 FROM retraining_decisions")).toHaveLength(2);
  });

  it("records a drift run that failed, and decides nothing", async () => {
    await startWorld();
    const job = await send(EVENT, { runId: "drift-1", status: "failed" });
    expect(job.returnvalue).toEqual({ outcome: "drift_run_failed" });
    expect(await world.sql("SELECT status, outcome, run_id FROM retraining_events")).toEqual([
      { status: "failed", outcome: "drift_run_failed", run_id: null },
    ]);
    expect(await world.sql("SELECT 1 FROM retraining_decisions")).toEqual([]);
  });

  it("decides if a drift run first failed and then succeeded under the same id", async () => {
    await startWorld();
    await send(EVENT, { runId: "drift-1", status: "failed" });
    const summary = await world.decide({ runId: "drift-1", status: "success" });
    expect(summary.decision).toBe("trigger_mock");
    expect(await world.sql("SELECT status, outcome, run_id FROM retraining_events")).toEqual([
      { status: "success", outcome: "started", run_id: summary.runId },
    ]);
  });

  it.each([
    ["without a runId", EVENT, { status: "success" }, "runId is missing"],
    ["with a wrong type", EVENT, { runId: { id: 1 } }, "runId is an object"],
    ["that is not an object", EVENT, [1, 2, 3], "the event is an array of 3"],
    ["of a megabyte of junk", EVENT, { runId: "j".repeat(1_000_000) }, "runId is"],
    [
      "about a model that the settings do not name",
      EVENT,
      { runId: "x", model: "books" },
      'model: "books" is not in the settings',
    ],
    ["under an unknown name", "surprise", {}, 'Unknown job name "surprise"'],
  ])("refuses an event %s at once, and keeps working", async (_, name, data, message) => {
    await startWorld();
    const job = await send(name, data);
    expect(job.failedReason).toContain(message);
    expect(job.failedReason?.length).toBeLessThan(1_000);
    expect(job.attemptsMade).toBe(1);
    expect((await world.decide()).decision).toBe("trigger_mock");
  });
});

describe("events that arrive while a run is under way", () => {
  it("are folded into one follow-up whose snapshot is younger than all of them", async () => {
    await startWorld({ RETRIGGER_GUARD: "off" });
    const hold = await holdTable(world, "ratings_buffer");
    const first = await world.client.inbox.add(EVENT, { runId: "drift-1" });
    await hold.untilSessionWaits();
    const jobs = await Promise.all(
      Array.from({ length: 20 }, (_, index) => send(EVENT, { runId: `late-${index}` })),
    );
    const covering = new Set(jobs.map((job) => job.returnvalue.runId));
    expect(covering.size).toBe(1);
    expect(jobs.every((job) => job.returnvalue.outcome === "folded")).toBe(true);
    const [clock] = await world.sql<{ now: Date }>("SELECT now()");
    await hold.release();

    const firstSummary = await world.client.waitForDecision(first.id ?? "", { limitMs: 20_000 });
    const late = await world.client.waitForDecision(jobs[0]?.id ?? "", { limitMs: 20_000 });
    expect(late.runId).toBe([...covering][0]);
    const rows = await world.sql<{ run_id: string; cause: string; taken: string }>(
      "SELECT run_id, cause, evidence ->> 'takenAt' AS taken FROM retraining_decisions ORDER BY id",
    );
    expect(rows.map(({ run_id, cause }) => [run_id, cause])).toEqual([
      [firstSummary.runId, "event"],
      [late.runId, "followup"],
    ]);
    expect(new Date(rows[1]?.taken ?? 0).getTime()).toBeGreaterThanOrEqual(clock?.now.getTime() ?? Infinity);
    expect(await world.sql("SELECT DISTINCT run_id FROM retraining_events WHERE outcome = 'folded'")).toEqual(
      [{ run_id: late.runId }],
    );
  });

  it("are covered even if the follow-up that they are folded into has failed for good", async () => {
    await startWorld();
    const followUp = createRunId();
    await world.redis.set(`${world.config.redisPrefix}:follow-up:default`, followUp);
    await world.client.inbox.add("followup", { model: "unknown" }, { jobId: `followup-${followUp}` });
    await until(
      "it failed",
      async () => (await world.client.inbox.getJob(`followup-${followUp}`))?.failedReason,
    );
    await world.redis.hset(
      `${world.config.redisPrefix}:drift_monitoring:followup-${followUp}`,
      "data",
      JSON.stringify({ model: "default", runId: followUp }),
    );
    expect(await world.decide()).toMatchObject({ runId: followUp, decision: "trigger_mock" });
  });

  it("leave no lock and no follow-up key behind", async () => {
    await startWorld();
    await world.decide();
    const left = async (): Promise<string[]> => [
      ...(await listKeys(world.redis, `${world.config.redisPrefix}:decision-lock:*`)),
      ...(await listKeys(world.redis, `${world.config.redisPrefix}:follow-up:*`)),
    ];
    await until("the lock is free", async () => (await left()).length === 0);
  });
});
