import { FlowProducer, Queue } from "bullmq";
import fc from "fast-check";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { buildFlow } from "../../queues/flow.ts";
import { Gathered } from "../../queues/jobs.ts";
import type { Stage } from "../../queues/names.ts";
import { createRunId } from "../../queues/run-id.ts";
import { evaluateStage } from "../../workers/evaluate.ts";
import { addCheck, createWorld, until, type World } from "../support/world.ts";

let world: World;
beforeEach(async () => {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", RETRIGGER_GUARD: "off" } });
  await addCheck(world);
});
afterEach(() => world.close());

const EVENT = "drift_monitoring.completed";

/** Adds jobs unchecked, and waits until each has ended. */
async function endsOf(jobs: { name: string; data: unknown }[]) {
  const added = await world.client.inbox.addBulk(jobs);
  return Promise.all(
    added.map(({ id }) =>
      until("the job ended", async () => {
        const job = await world.client.inbox.getJob(id ?? "");
        return job?.finishedOn === undefined ? null : job;
      }),
    ),
  );
}

const KEYS = [
  "runId",
  "model",
  "completedAt",
  "status",
  "source",
  "__proto__",
  "constructor",
  "toString",
  "",
];
const weirdText = fc.oneof(
  fc.string({ unit: "binary", maxLength: 300 }),
  fc.constantFrom(
    "\u0000",
    "\ud800",
    "💥\u202e",
    "default",
    "__proto__",
    "null",
    "'; DROP TABLE x; --",
    "0".repeat(201),
  ),
);
/** Anything that another producer may put on the inbox, often something close to an event. */
const anything = fc.oneof(
  fc.jsonValue({ maxDepth: 4 }),
  fc.dictionary(
    fc.oneof(fc.constantFrom(...KEYS), weirdText),
    fc.oneof(weirdText, fc.jsonValue({ maxDepth: 2 })),
  ),
  fc.record({ runId: weirdText, source: fc.oneof(weirdText, fc.constant(undefined)) }),
);
const job = fc.record({
  name: fc.oneof(
    { weight: 3, arbitrary: fc.constantFrom(EVENT, "decide", "schedule", "followup") },
    {
      weight: 1,
      arbitrary: weirdText.filter((name) => name !== ""),
    },
  ),
  data: anything,
});

describe("the inbox", () => {
  it("ends every job with a result or a clear failure, and keeps working", { timeout: 120_000 }, async () => {
    await world.startApp();
    await fc.assert(
      fc.asyncProperty(fc.array(job, { minLength: 25, maxLength: 25 }), async (jobs) => {
        for (const ended of await endsOf(jobs)) {
          const isTaken = typeof ended.returnvalue?.outcome === "string";
          expect([ended.data, isTaken || ended.failedReason]).toEqual([ended.data, expect.anything()]);
          if (isTaken) continue;
          expect(ended.failedReason).toMatch(/^(Malformed |Unknown job name|model: )/);
          expect(ended.failedReason?.length).toBeLessThan(4_000);
        }
      }),
      { numRuns: 12 },
    );
    expect((await world.decide()).decision).toBe("trigger_mock");
  });

  it.each<[string, unknown, string]>([
    [
      "nested 33 deep",
      JSON.parse('{"a":'.repeat(33) + "1" + "}".repeat(33)),
      "nested at most 32 levels deep",
    ],
    ["of ten megabytes", "x".repeat(10_000_000), "at most 64 KiB"],
  ])("refuses an event with a field %s", async (_, extra, message) => {
    await world.startApp();
    const [ended] = await endsOf([{ name: EVENT, data: { runId: "huge", extra } }]);
    expect(ended?.failedReason).toContain(message);
    expect(ended?.failedReason?.length).toBeLessThan(500);
    expect(await world.sql("SELECT FROM retraining_events")).toEqual([]);
    expect((await world.decide()).decision).toBe("trigger_mock");
  });

  it("refuses an event nested a hundred thousand levels deep, which Node itself could not send", async () => {
    await world.startApp();
    const { inbox } = world.client;
    await inbox.pause();
    const { id = "" } = await inbox.add(EVENT, {});
    const deep = `{"runId":"deep","extra":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
    await world.redis.hset(`${world.config.redisPrefix}:drift_monitoring:${id}`, "data", deep);
    await inbox.resume();
    const reason = await until("it failed", async () => (await inbox.getJob(id))?.failedReason);
    expect(reason).toContain("nested at most 32 levels deep");
    expect((await world.decide()).decision).toBe("trigger_mock");
  });

  it("keeps keys such as __proto__ as data", async () => {
    await world.startApp();
    const data: unknown = JSON.parse('{"runId":"p","__proto__":{"model":"x"},"constructor":1,"toString":2}');
    const [ended] = await endsOf([{ name: EVENT, data }]);
    expect(ended?.returnvalue).toMatchObject({ outcome: "started" });
    const [row] = await world.sql<{ text: string; model: string }>(
      "SELECT payload::text AS text, model FROM retraining_events",
    );
    expect(row?.model).toBe("default");
    expect(JSON.parse(row?.text ?? "")).toMatchObject({ constructor: 1, toString: 2 });
    expect(({} as Record<string, unknown>)["model"]).toBeUndefined();
  });
});

/** Adds a chain and replaces a stage's result by one of another version before the next stage reads it. */
async function plant(stage: Stage, next: Stage, result: string): Promise<string> {
  const runId = createRunId();
  const prefix = world.config.redisPrefix;
  const open = (name: string) => new Queue(name, { connection: world.redis, prefix });
  const [following, queue] = [open(next), open(stage)];
  await following.pause();
  const producer = new FlowProducer({ connection: world.redis, prefix });
  await producer.add(buildFlow({ runId, model: "default", cause: "manual" }));
  await until("the stage is done", async () => (await queue.getJobState(runId)) === "completed");
  const children = `${prefix}:${next}:${runId}:processed`;
  await world.redis.hset(children, `${prefix}:${stage}:${runId}`, result);
  // As if another worker had started it before: then nothing is handed over in this process.
  await world.redis.hset(`${prefix}:${next}:${runId}`, "ats", 1);
  await following.resume();
  const reason = await until(
    "the next stage failed",
    async () => (await following.getJob(runId))?.failedReason,
  );
  await Promise.all([following.close(), queue.close(), producer.close()]);
  return reason;
}

describe("a stage result of another version", () => {
  const whole = {
    evidence: {
      takenAt: new Date().toISOString(),
      checks: { total: 1, triggered: 1, newest: [], newestTriggered: [] },
    },
  };
  it.each<[string, Stage, Stage, string, string]>([
    ["nothing at all", "gather", "evaluate", "null", "Malformed result of the previous stage"],
    ["a text", "gather", "evaluate", '"later"', "Malformed result of the previous stage"],
    ["without evidence", "gather", "evaluate", '{"policy":{}}', "evidence is missing"],
    ["with half an evidence", "evaluate", "act", JSON.stringify(whole), "evidence.alerts is missing"],
    ["without a verdict", "evaluate", "act", "{}", "verdict is missing"],
    [
      "of an unknown outcome",
      "act",
      "summarize",
      '{"recording":{"outcome":"postponed"}}',
      "recording.outcome",
    ],
  ])("%s fails that job clearly, and records nothing half", async (_, stage, next, result, message) => {
    await world.startApp();
    expect(await plant(stage, next, result)).toContain(message);
    const rows = await world.sql("SELECT decision FROM retraining_decisions");
    expect(rows).toHaveLength(next === "summarize" ? 1 : 0);
    expect((await world.decide()).decision).toBe("trigger_mock");
  });

  it("with values that Postgres refuses fails clearly, and leaves no partial record", async () => {
    await world.startApp();
    await world.decide();
    const [row] = await world.sql("SELECT evidence, policy FROM retraining_decisions");
    const gathered = Gathered.parse(row);
    const { verdict } = evaluateStage(gathered).result;
    const evaluated = { ...gathered, verdict: { ...verdict, reason: "a NUL: \u0000" } };
    expect(await plant("evaluate", "act", JSON.stringify(evaluated))).toContain("cannot run the query");
    expect(await world.sql("SELECT FROM retraining_decisions")).toHaveLength(1);
    expect(await world.sql("SELECT FROM retraining_dispatches")).toHaveLength(1);
  });
});
