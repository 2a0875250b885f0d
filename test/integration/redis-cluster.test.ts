import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as pause } from "node:timers/promises";
import { Cluster } from "ioredis";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { INBOX_JOBS } from "../../queues/names.ts";
import { parseConfig } from "../../src/config/config.ts";
import { openRedis } from "../../src/redis/target.ts";
import { findObstacle } from "../../src/use-cases/obstacle.ts";
import { runScript } from "../support/process.ts";
import { startRedisCluster } from "../support/redis-cluster.ts";
import { deleteKeys } from "../support/redis-keys.ts";
import { READY } from "../support/redis-trouble.ts";
import type { ReplicatedRedis } from "../support/replicated-redis.ts";
import { startService } from "../support/service-process.ts";
import { addCheck, createWorld, holdTable, until, type World } from "../support/world.ts";

let cluster: ReplicatedRedis;
let world: World;
const children: ChildProcess[] = [];

beforeAll(async () => {
  cluster = await startRedisCluster();
});
afterAll(() => cluster.stop());

async function openWorld(settings: Record<string, string> = {}): Promise<void> {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", ...cluster.settings, ...settings } });
  await addCheck(world);
}

function start(settings: Record<string, string> = {}) {
  const service = startService(world, settings);
  children.push(service.child);
  return service;
}

describe("a service on a Redis Cluster", () => {
  afterEach(async () => {
    for (const child of children.splice(0)) {
      child.kill("SIGKILL");
      if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
    }
    await world.close();
  });

  it("decides, folds what arrives meanwhile into one follow-up, and schedules the next look", async () => {
    await openWorld({ SCHEDULE: "0 6 * * *", RETRIGGER_GUARD: "off", COOLDOWN_HOURS: "24" });
    await world.startApp();
    expect(await world.client.inbox.getJobSchedulers()).toHaveLength(1);
    const hold = await holdTable(world, "ratings_buffer");
    const jobIds = [await world.client.send(INBOX_JOBS.event, { runId: "first" })];
    await hold.untilSessionWaits();
    for (const runId of ["second", "third"])
      jobIds.push(await world.client.send(INBOX_JOBS.event, { runId }));
    await until("both are folded", async () => {
      const folded = await world.sql("SELECT FROM retraining_events WHERE outcome = 'folded'");
      return folded.length === 2;
    });
    await hold.release();
    for (const jobId of jobIds) await world.client.waitForDecision(jobId, { limitMs: 20_000 });
    expect(await world.sql("SELECT cause, decision FROM retraining_decisions ORDER BY id")).toEqual([
      { cause: "event", decision: "trigger_mock" },
      { cause: "followup", decision: expect.any(String) as string },
    ]);
    expect(await world.client.inbox.getWorkersCount()).toBe(1);
  });

  it("shows its jobs in Bull Board, which retries them, and answers the health check", async () => {
    await openWorld();
    const app = await world.startApp({ role: "all" });
    const { runId } = await world.decide();
    const get = (path: string, method = "GET") =>
      fetch(`${app.address()}${path}`, { method, headers: { origin: app.address() ?? "" } });
    const { queues } = (await (await get("/queues/api/queues")).json()) as { queues: object[] };
    expect(queues).toContainEqual(
      expect.objectContaining({
        name: "summarize",
        counts: expect.objectContaining({ completed: 1 }) as object,
      }),
    );
    expect((await get(`/queues/api/queues/act/${runId}/retry`, "PUT")).status).toBe(204);
    await until("it ran again", async () => {
      const job = `${world.config.redisPrefix}:act:${runId}`;
      return (await world.redis.hget(job, "ats")) === "2" && (await world.redis.hexists(job, "finishedOn"));
    });
    expect(await (await get("/readyz")).json()).toEqual(READY.body);
    expect(await (await get("/metrics")).text()).toContain(
      'bullmq_job_count{queue="summarize",state="completed"} 1',
    );
  });

  it("gets its schedules and runs back after all keys were removed", async () => {
    await openWorld({ SCHEDULE: "0 6 * * *" });
    await world.startApp();
    const hold = await holdTable(world, "ratings_buffer");
    await world.client.send(INBOX_JOBS.event, { runId: "drift-1" });
    await hold.untilSessionWaits();
    await deleteKeys(world.redis, world.config.redisPrefix);
    await hold.release();
    await until("the event is covered", async () => (await world.sql("SELECT FROM retraining_decisions"))[0]);
    await until(
      "the schedule is back",
      async () => (await world.client.inbox.getJobSchedulers()).length === 1,
    );
  });

  it("reloads its settings when asked over any of its nodes", async () => {
    const directory = await mkdtemp(join(process.cwd(), ".data", "cluster-"));
    const file = join(directory, "retrigger.yaml");
    await writeFile(file, JSON.stringify({ models: { films: {} } }));
    await openWorld({ RETRIGGER_CONFIG: file });
    const services = [start({ ROLE: "worker" }), start({ ROLE: "web" })];
    for (const { untilLogged } of services) await untilLogged("Retrigger is ready");
    await writeFile(file, JSON.stringify({ models: { films: {}, books: {} } }));
    const { code, stdout } = await runScript("src/cli.ts", ["config", "reload"], world.settings);
    expect(stdout.match(/models added: 1/g)).toHaveLength(2);
    expect(code).toBe(0);
    await rm(directory, { recursive: true });
  });

  it("is described by doctor: its nodes, its state, and where our keys are", async () => {
    await openWorld();
    const { stdout } = await runScript("src/cli.ts", ["doctor"], world.settings);
    const { host, port } = await cluster.findMaster(world.config.redisPrefix);
    expect(stdout).toContain("✅ Redis Cluster: 6 nodes, 3 masters with slots, its state is ok");
    expect(stdout).toContain(
      `✅ The keys of ${world.config.redisPrefix} are on ${host}:${port}, with 1 replica(s)`,
    );
    expect(stdout).toContain("✅ Redis accepts writes");
    expect(stdout).toContain("✅ Redis keeps its jobs across a restart (appendonly yes)");
  });

  it("survives the loss of the master that has its keys: a line when it is away and one when it is back", async () => {
    await openWorld();
    const service = start();
    const { readiness } = await service.untilReady();
    await world.decide();
    const master = await cluster.findMaster(world.config.redisPrefix);
    await master.kill();
    await until("it is not ready", async () => (await readiness()).status === 503);
    await cluster.untilReplaced(master, world.config.redisPrefix);
    await service.untilLogged("Redis is back");
    expect(await readiness()).toEqual(READY);
    expect((await world.decide()).reason).toBe("already_acted_on");
    const warnings = service.warnings();
    // On a busy machine, the new master may be slow once more.
    expect(warnings).toHaveLength(service.infos("Redis is back"));
    expect(warnings[0]).toContain("CLUSTER NODES shows which are down");
    for (const warning of warnings) expect(warning).toContain("Redis is away");
    await cluster.heal();
  });

  it("goes on while the old master hangs with its connections open", async () => {
    await openWorld();
    const service = start();
    const { readiness } = await service.untilReady();
    await world.decide();
    const prefix = world.config.redisPrefix;
    const master = await cluster.findMaster(prefix);
    master.pause();
    await cluster.untilReplaced(master, prefix);
    await until("it is ready", async () => (await readiness()).status === 200);
    expect((await world.decide()).reason).toBe("already_acted_on");
    master.resume();
    await cluster.heal();
  });

  it("is waited for although another node hangs, which BullMQ asks for workers", async () => {
    await openWorld();
    const prefix = world.config.redisPrefix;
    const [master, replica] = [await cluster.findMaster(prefix), await cluster.findReplica(prefix)];
    const other = cluster.servers.find((server) => server !== master && server !== replica);
    // Clients connect to a node when they first need it.
    expect(await findObstacle(world.client.inbox)).toBe("no_worker");
    other?.pause();
    const jobId = await world.client.send(INBOX_JOBS.event, { runId: "waits" });
    expect(await world.client.explainWait(jobId)).toBeNull();
    other?.resume();
    await cluster.heal();
  });
});

describe("a client of a cluster", () => {
  it("asks for the nodes now and then, once however often it was connected, and not once it has ended", async () => {
    const client = openRedis(parseConfig({ DATABASE_URL: "postgres://localhost/db", ...cluster.settings }), {
      enableOfflineQueue: true,
      retryStrategy: () => 100,
      maxRedirections: 100,
    });
    if (!(client instanceof Cluster)) throw new Error("This is no client of a cluster");
    await client.get("key");
    vi.useFakeTimers({ toFake: ["setInterval", "clearInterval"] });
    try {
      for (let connection = 0; connection < 2; connection += 1) {
        const hasEnded = once(client, "end");
        client.disconnect();
        await hasEnded;
        const isReady = once(client, "ready");
        await client.connect();
        await isReady;
      }
      const refresh = vi.spyOn(client, "refreshSlotsCache");
      vi.advanceTimersByTime(5_000);
      expect(refresh).toHaveBeenCalledTimes(1);
      const hasEnded = once(client, "end");
      client.disconnect();
      await hasEnded;
      vi.advanceTimersByTime(20_000);
      expect(refresh).toHaveBeenCalledTimes(1);
    } finally {
      vi.useRealTimers();
    }
  });

  it.each(["itself", "a duplicate"])(
    "that is disconnected while a command of it is redirected ends: %s",
    async (which) => {
      const prefix = "{redirected}";
      const first = openRedis(parseConfig({ DATABASE_URL: "postgres://localhost/db", ...cluster.settings }), {
        enableOfflineQueue: true,
        retryStrategy: () => 100,
        maxRedirections: 100,
      });
      if (!(first instanceof Cluster)) throw new Error("This is no client of a cluster");
      const client = which === "itself" ? first : first.duplicate();
      await client.get(`${prefix}:key`);
      // Clients connect to a node when they first need it.
      await Promise.all(client.nodes().map((node) => node.ping()));
      const master = await cluster.findMaster(prefix);
      await cluster.handOver(prefix);
      await cluster.untilReplaced(master, prefix);
      // Sent to the old master, which redirects it.
      void client.get(`${prefix}:key`).catch(() => {});
      const hasEnded = once(client, "end").then(() => true);
      client.disconnect();
      expect(await Promise.race([hasEnded, pause(5_000)])).toBe(true);
      first.disconnect();
      await cluster.heal();
    },
  );
});
