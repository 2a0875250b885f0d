import { describe, expect, it } from "vitest";
import { INBOX_JOBS } from "../../queues/names.ts";
import { runScript } from "../support/process.ts";
import { DEMOTED, FULL, READY, refusing, TROUBLES, useOwnRedis } from "../support/redis-trouble.ts";
import { failureOf, holdTable, until } from "../support/world.ts";

const { openRedis, openWorld, startService } = useOwnRedis();

describe("a Redis that answers but refuses writes", () => {
  it.each(TROUBLES)(
    "$what: one line when it begins and one when it ends, 503 with the reason meanwhile, and then the service recovers",
    async ({ begin, end, reason, remedy }) => {
      const redis = await openRedis();
      const world = await openWorld(redis.url);
      const { client, decide, redis: connection } = world;
      connection.on("error", () => {});
      const service = startService(world);
      const { get, readiness } = await service.untilReady();
      await decide();
      expect(await readiness()).toEqual(READY);

      await begin(redis);
      const line = await service.untilLogged(reason);
      expect(line).toMatchObject({ level: 40, msg: expect.stringContaining(remedy) as string });
      expect(await failureOf(client.send(INBOX_JOBS.event, { runId: "refused" }))).toMatch(/OOM|READONLY/);
      // Polled often, as a load balancer does, for longer than any part of the service pauses between two attempts.
      const endsAt = Date.now() + 6_000;
      while (Date.now() < endsAt) expect(await readiness()).toEqual(refusing(reason));
      expect((await get("/healthz")).status).toBe(200);
      expect((await get("/queues/")).status).toBe(200);
      const callback = await get("/api/v1/trainings/any/outcome", "POST");
      expect(callback.status).toBe(503);
      expect(callback.body).toContain(reason);

      await end(redis);
      await service.untilLogged("Redis accepts writes again");
      expect(await readiness()).toEqual(READY);
      expect((await decide()).reason).toBe("already_acted_on");
      expect(service.warnings()).toEqual([expect.stringContaining(reason)]);
      expect(service.infos("accepts writes again")).toBe(1);
      expect(service.infos("is back")).toBe(0);
    },
  );

  it("logs another line if the reason changes, even in a process without workers", async () => {
    const redis = await openRedis();
    const world = await openWorld(redis.url);
    const service = startService(world, { ROLE: "web" });
    const { readiness } = await service.untilReady();
    await FULL.begin(redis);
    await service.untilLogged(FULL.reason);
    await DEMOTED.begin(redis);
    await FULL.end(redis);
    await service.untilLogged(DEMOTED.reason);
    expect(await readiness()).toEqual(refusing(DEMOTED.reason));
    await DEMOTED.end(redis);
    await service.untilLogged("Redis accepts writes again");
    expect(service.warnings()).toEqual([
      expect.stringContaining(FULL.reason),
      expect.stringContaining(DEMOTED.reason),
    ]);
    expect(await readiness()).toEqual(READY);
  });

  it.each(TROUBLES)(
    "$what in the middle of a stage: the run decides once afterwards, without a log line for each refusal",
    async ({ begin, end, reason }) => {
      const redis = await openRedis();
      const world = await openWorld(redis.url);
      const { client, sql } = world;
      const service = startService(world, { LOCK_TTL_MS: "1000" });
      await service.untilReady();
      const hold = await holdTable(world, "ratings_buffer");
      const jobIds = [await client.send(INBOX_JOBS.event, { runId: "first" })];
      await hold.untilSessionWaits();
      for (const runId of ["second", "third"]) jobIds.push(await client.send(INBOX_JOBS.event, { runId }));
      await begin(redis);
      await service.untilLogged(reason);
      const jobLocks = async () => (await redis.admin.keys("*gather:*:lock")).length;
      // A full Redis refuses to renew the lock, so the job stalls; a replica keeps expired keys.
      if (reason === FULL.reason)
        await until("the job's lock has expired", async () => (await jobLocks()) === 0);
      await hold.release();
      await end(redis);
      for (const jobId of jobIds) await client.waitForDecision(jobId, { limitMs: 25_000 });
      expect(await sql("SELECT 1 FROM retraining_decisions WHERE decision = 'trigger_mock'")).toHaveLength(1);
      expect(service.warnings()).toEqual([expect.stringContaining(reason)]);
    },
  );

  it.each(TROUBLES)(
    "$what at the start: the service waits, and logs one line",
    async ({ begin, end, reason, remedy }) => {
      const redis = await openRedis();
      const world = await openWorld(redis.url);
      const { decide } = world;
      await begin(redis);
      const service = startService(world);
      const { msg } = await service.untilLogged("waiting for Redis");
      expect(msg).toContain(reason);
      expect(msg).toContain(remedy);
      await end(redis);
      const { readiness } = await service.untilReady();
      expect(await readiness()).toEqual(READY);
      expect(service.warnings()).toHaveLength(1);
      await decide();
    },
  );

  it.each(TROUBLES)("$what: doctor and emit report it with the remedy", async ({ begin, reason, remedy }) => {
    const redis = await openRedis();
    const world = await openWorld(redis.url);
    const { settings, client } = world;
    await client.inbox.waitUntilReady();
    await begin(redis);
    const doctor = await runScript("src/cli.ts", ["doctor"], settings);
    expect(doctor.code).toBe(1);
    const at = doctor.stdout.split("\n").findIndex((line) => line.startsWith("❌") && line.includes(reason));
    expect(doctor.stdout.split("\n")[at + 1]).toContain(remedy);
    const emit = await runScript("src/cli.ts", ["emit"], settings);
    expect(emit).toMatchObject({ code: 1, stdout: "" });
    expect(emit.stderr).toContain(reason);
    expect(emit.stderr).toContain(remedy);
    expect(emit.stderr.trim().split("\n")).toHaveLength(1);
  });
});
