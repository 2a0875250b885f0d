import { afterEach, describe, expect, it } from "vitest";
import { findNextFiring, syncSchedules } from "../../queues/schedule.ts";
import { computeSpreadOffsetMs } from "../../queues/spread.ts";
import { createModelClaims } from "../../src/redis/model-claims.ts";
import { addCheck, createWorld, until, withQueue, type World } from "../support/world.ts";

let world: World;
afterEach(() => world.close());

describe("the schedule", () => {
  it("fires repeatedly, and the guard keeps it from training twice", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", SCHEDULE: "* * * * * *" } });
    await addCheck(world);
    await world.startApp();
    await until(
      "three scheduled decisions",
      async () => (await world.sql("SELECT 1 FROM retraining_decisions")).length >= 3,
    );
    const rows = await world.sql(
      "SELECT cause, decision, reason FROM retraining_decisions ORDER BY id LIMIT 3",
    );
    expect(rows).toEqual([
      { cause: "schedule", decision: "trigger_mock", reason: "drift_detected" },
      { cause: "schedule", decision: "no_action", reason: "already_acted_on" },
      { cause: "schedule", decision: "no_action", reason: "already_acted_on" },
    ]);
  });

  it("follows the settings at each start, and is removed if they say off", async () => {
    world = await createWorld({ settings: { SCHEDULE: "0 6 * * *" } });
    const patterns = async () =>
      (await world.client.inbox.getJobSchedulers()).map(({ pattern, tz }) => ({ pattern, tz }));
    const first = await world.startApp();
    expect(await patterns()).toEqual([{ pattern: "0 6 * * *", tz: "UTC" }]);
    const next = (await world.client.inbox.getJobScheduler("schedule-default"))?.next ?? 0;
    expect(new Date(next).toISOString()).toMatch(/T06:00:00/);
    await first.stop();
    const models = new Map([...world.config.models].map(([name, own]) => [name, { ...own, schedule: null }]));
    await world.startApp({ models });
    expect(await patterns()).toEqual([]);
  });
});

describe("a scheduler of an earlier version", () => {
  it("is replaced, so that its jobs do not all continue one trace, unless its job is due", async () => {
    world = await createWorld({ isEmpty: true });
    const { inbox } = world.client;
    const claims = { refresh: async () => {}, listElsewhere: async () => new Set<string>() };
    const patterns = new Map([
      ["due", "* * * * * *"],
      ["later", "0 0 1 1 *"],
    ]);
    for (const [model, pattern] of patterns)
      await inbox.upsertJobScheduler(
        `schedule-${model}`,
        { pattern, tz: "UTC" },
        { name: "schedule", data: { model } },
      );
    await syncSchedules(inbox, patterns, claims);
    const omits = (await inbox.getJobSchedulers()).map(({ key, template }) => [
      key,
      template?.opts?.telemetry?.omitContext ?? false,
    ]);
    expect(Object.fromEntries(omits)).toEqual({ "schedule-due": false, "schedule-later": true });
    expect(await inbox.getDelayedCount()).toBe(2);
  });
});

/** Starts a service that serves only these models, all with one schedule. */
function startServiceOf(models: string[], schedule = "0 6 * * *", spreadMs = 0) {
  const own = world.config.models.get("default");
  if (!own) throw new Error("The settings name no model called default");
  return world.startApp({ models: new Map(models.map((model) => [model, { ...own, schedule, spreadMs }])) });
}

describe("a schedule that is spread", () => {
  const HOUR_MS = 3_600_000;
  /** A model whose share of an hour is a few seconds, so that a test can wait for it. */
  const model = findModelWithOffset(5_000, 7_000);

  function findModelWithOffset(fromMs: number, toMs: number): string {
    for (let index = 0; ; index += 1) {
      const offsetMs = computeSpreadOffsetMs(`m${index}`, HOUR_MS);
      if (offsetMs >= fromMs && offsetMs < toMs) return `m${index}`;
    }
  }

  /** A pattern that fires once a day, for the first time in a few seconds. */
  function soon(): { schedule: string; instant: number } {
    const instant = Math.ceil(Date.now() / 1000 + 3) * 1000;
    const date = new Date(instant);
    return {
      schedule: `${date.getUTCSeconds()} ${date.getUTCMinutes()} ${date.getUTCHours()} * * *`,
      instant,
    };
  }

  it("fires once, at the model's share of the spread, even if the service restarts in between", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
    const { inbox } = world.client;
    const { schedule, instant } = soon();
    const firesAt = instant + computeSpreadOffsetMs(model, HOUR_MS);
    const nextFiring = () => findNextFiring(inbox, model, { schedule, spreadMs: HOUR_MS }, Date.now());
    const first = await startServiceOf([model], schedule, HOUR_MS);
    expect(await nextFiring()).toEqual({ dueAt: instant, firesAt });
    const jobId = `repeat:schedule-${model}:${instant}`;
    await until("it waits for its share", async () => {
      const job = await inbox.getJob(jobId);
      return job?.attemptsStarted === 1 && (await job.isDelayed());
    });
    const [tomorrow, afterTomorrow] = [instant, firesAt].map((time) => time + 24 * HOUR_MS);
    expect((await inbox.getJobScheduler(`schedule-${model}`))?.next).toBe(tomorrow);
    expect(await nextFiring()).toEqual({ dueAt: tomorrow, firesAt });
    await first.stop();
    await startServiceOf([model], schedule, HOUR_MS);
    const job = await until("it was taken", async () => {
      const found = await inbox.getJob(jobId);
      return found?.finishedOn === undefined ? null : found;
    });
    expect(job.processedOn).toBeGreaterThanOrEqual(firesAt);
    expect(job.returnvalue).toMatchObject({ outcome: "started" });
    expect(await nextFiring()).toEqual({ dueAt: tomorrow, firesAt: afterTomorrow });
    expect((await inbox.getJobs()).map(({ id }) => String(id)).toSorted()).toEqual([
      jobId,
      `repeat:schedule-${model}:${tomorrow}`,
    ]);
    await until("it was decided", async () => {
      const rows = await world.sql("SELECT cause FROM retraining_decisions");
      return rows.length === 1 && rows[0]?.["cause"] === "schedule";
    });
  });

  it("fires once for each time in its pattern, also if the spread is longer than the pattern's interval", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
    await startServiceOf([model], "* * * * * *", HOUR_MS);
    const taken = await until("three were taken", async () => {
      const jobs = await world.client.inbox.getCompleted();
      return jobs.length >= 3 ? jobs : null;
    });
    const instants = taken.map(({ opts }) => opts.prevMillis ?? 0).toSorted((a, b) => a - b);
    const [start = 0] = instants;
    expect(instants).toEqual(instants.map((_, index) => start + index * 1000));
    for (const { processedOn = 0, opts } of taken)
      expect(processedOn - (opts.prevMillis ?? 0)).toBeGreaterThanOrEqual(5_000);
  });
});

const listSchedules = async (): Promise<string[]> =>
  (await world.client.inbox.getJobSchedulers()).map(({ key }) => key).toSorted();

describe("two services with different models on one prefix", () => {
  it("keep each other's schedules until the other one stops", async () => {
    world = await createWorld();
    const films = await startServiceOf(["films", "shared"]);
    const books = await startServiceOf(["books", "shared"]);
    expect(await listSchedules()).toEqual(["schedule-books", "schedule-films", "schedule-shared"]);
    await films.stop();
    await books.stop();
    await startServiceOf(["books", "shared"]);
    expect(await listSchedules()).toEqual(["schedule-books", "schedule-shared"]);
  });

  it("remove the schedules of a killed service once its claims have expired", async () => {
    world = await createWorld();
    const { redisPrefix } = world.config;
    const killed = createModelClaims(world.redis, redisPrefix, () => ["films"], { ttlMs: 4_000 });
    await syncSchedules(world.client.inbox, new Map([["films", "0 6 * * *"]]), killed);
    const first = await startServiceOf(["books"]);
    expect(await listSchedules()).toEqual(["schedule-books", "schedule-films"]);
    await first.stop();
    const other = createModelClaims(world.redis, redisPrefix, () => []);
    await until("the claim has expired", async () => !(await other.listElsewhere()).has("films"));
    await startServiceOf(["books"]);
    expect(await listSchedules()).toEqual(["schedule-books"]);
  });

  it("keep each other's events and schedules while one of them restarts", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0" } });
    const films = await startServiceOf(["films"]);
    await startServiceOf(["books"]);
    await films.stop();
    const jobId = await world.client.send("drift_monitoring.completed", { runId: "x", model: "films" });
    await until("it was delayed", async () => (await world.client.inbox.getJobState(jobId)) === "delayed");
    expect(await listSchedules()).toEqual(["schedule-books", "schedule-films"]);
    await startServiceOf(["films"]);
    expect((await world.client.waitForDecision(jobId, { limitMs: 20_000 })).model).toBe("films");
  });

  it("keep a shared model's schedule even if one of them has none for it", async () => {
    world = await createWorld();
    await startServiceOf(["shared"]);
    const own = world.config.models.get("default");
    if (!own) throw new Error("The settings name no model called default");
    await world.startApp({ models: new Map([["shared", { ...own, schedule: null }]]) });
    expect(await listSchedules()).toEqual(["schedule-shared"]);
  });

  it("decide about their own models, whichever of them gets a job first", async () => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", RETRIGGER_GUARD: "off" } });
    await addCheck(world);
    await startServiceOf(["films"], "* * * * * *");
    await startServiceOf(["books"], "* * * * * *");
    for (let count = 0; count < 4; count += 1)
      await Promise.all(
        ["films", "books"].map(async (model) => expect((await world.decide({ model })).model).toBe(model)),
      );
    await until("each schedule has fired twice", async () => {
      const jobs = await world.client.inbox.getCompleted();
      const taken = jobs.filter(({ name }) => name === "schedule").map(({ data }) => data.model as string);
      return ["films", "books"].every((own) => taken.filter((model) => model === own).length >= 2);
    });
    for (const queue of ["drift_monitoring", "gather", "act"])
      expect(await withQueue(world, queue, (opened) => opened.getFailedCount())).toBe(0);
  });

  it("fail a job of a model that only a killed service had, after its claims have expired", async () => {
    world = await createWorld();
    await startServiceOf(["books"]);
    const killed = createModelClaims(world.redis, world.config.redisPrefix, () => ["films"], {
      ttlMs: 4_000,
    });
    await killed.refresh();
    const jobId = await world.client.send("drift_monitoring.completed", { runId: "x", model: "films" });
    await until("it was delayed", async () => (await world.client.inbox.getJobState(jobId)) === "delayed");
    const reason = await until(
      "it failed",
      async () => (await world.client.inbox.getJob(jobId))?.failedReason,
    );
    expect(reason).toContain('model: "films" is not in the settings');
  });
});
