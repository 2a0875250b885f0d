import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { afterEach, describe, expect, it } from "vitest";
import { INBOX_JOBS } from "../../queues/names.ts";
import { runOurs, spawnOurs } from "../support/process.ts";
import { type RedisServer, startRedisServer } from "../support/redis-server.ts";
import { addCheck, createWorld, failureOf, holdTable, until, type World } from "../support/world.ts";

let world: World | undefined;
const children: ChildProcess[] = [];
const redisServers: RedisServer[] = [];
const servers: { stop(): Promise<void> }[] = [];

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }
  // The world deletes its keys, which a replica would refuse.
  for (const { admin } of redisServers.splice(0)) await admin.replicaof("NO", "ONE").catch(() => {});
  await world?.close();
  world = undefined;
  for (const server of servers.splice(0)) await server.stop();
});

async function openRedis(settings: Record<string, string> = {}): Promise<RedisServer> {
  const redis = await startRedisServer(settings);
  servers.push(redis);
  redisServers.push(redis);
  return redis;
}

async function openWorld(redisUrl: string): Promise<World> {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", REDIS_URL: redisUrl } });
  await addCheck(world);
  return world;
}

/** The service in its own process, and what it logs. */
function startService({ settings }: World, changes: Record<string, string> = {}) {
  const child = spawnOurs("src/main.ts", [], { ...settings, LOG_LEVEL: "info", ...changes });
  children.push(child);
  const lines: { level: number; msg: string; address?: string }[] = [];
  let text = "";
  child.stdout?.on("data", (chunk: Buffer) => {
    const parts = (text + chunk.toString()).split("\n");
    text = parts.pop() ?? "";
    lines.push(...parts.map((line) => JSON.parse(line) as (typeof lines)[number]));
  });
  const untilLogged = (message: string) =>
    until(`"${message}" is logged`, async () => lines.find(({ msg }) => msg.includes(message)));
  return {
    child,
    lines,
    untilLogged,
    async untilReady() {
      const { address } = await untilLogged("Retrigger is ready");
      const get = async (path: string) => {
        const response = await fetch(address + path);
        const body = await response.text();
        return { status: response.status, body };
      };
      const readiness = async () => {
        const { status, body } = await get("/readyz");
        return { status, body: JSON.parse(body) as object };
      };
      return { get, readiness };
    },
    warnings: () => lines.filter(({ level }) => level >= 40).map(({ msg }) => msg),
    infos: (part: string) => lines.filter(({ level, msg }) => level === 30 && msg.includes(part)).length,
  };
}

const READY = { status: 200, body: { isReady: true, postgres: "up", redis: "up" } };
const refusing = (reason: string) => ({
  status: 503,
  body: {
    isReady: false,
    postgres: "up",
    redis: "up",
    reason: expect.stringContaining(reason) as string,
  },
});

/** An address at which no server listens. */
const NO_MASTER = ["127.0.0.1", 1] as const;

interface Trouble {
  what: string;
  begin(redis: RedisServer): Promise<unknown>;
  end(redis: RedisServer): Promise<unknown>;
  reason: string;
  remedy: string;
}

const FULL: Trouble = {
  what: "full",
  begin: ({ admin }) => admin.config("SET", "maxmemory", "1"),
  end: ({ admin }) => admin.config("SET", "maxmemory", "0"),
  reason: "is full: its limit, maxmemory, is 1B",
  remedy: "Raise maxmemory",
};
const DEMOTED: Trouble = {
  what: "demoted",
  begin: ({ admin }) => admin.replicaof(...NO_MASTER),
  end: ({ admin }) => admin.replicaof("NO", "ONE"),
  reason: "is a read-only replica of 127.0.0.1:1",
  remedy: "Set REDIS_URL to the master",
};
const TROUBLES = [FULL, DEMOTED];

describe("a Redis that answers but refuses writes", () => {
  it.each(TROUBLES)(
    "$what: one line when it begins and one when it ends, 503 with the reason meanwhile, and it recovers by itself",
    async ({ begin, end, reason, remedy }) => {
      const redis = await openRedis();
      const { client, decide, redis: connection } = await openWorld(redis.url);
      connection.on("error", () => {});
      const service = startService(world as World);
      const { get, readiness } = await service.untilReady();
      await decide();
      expect(await readiness()).toEqual(READY);

      await begin(redis);
      const line = await service.untilLogged(reason);
      expect(line).toMatchObject({ level: 40, msg: expect.stringContaining(remedy) as string });
      expect(await failureOf(client.send(INBOX_JOBS.event, { runId: "refused" }))).toMatch(/OOM|READONLY/);
      // Polled often, as by a load balancer, for longer than any part of the service pauses between two tries.
      const endsAt = Date.now() + 6_000;
      while (Date.now() < endsAt) expect(await readiness()).toEqual(refusing(reason));
      expect((await get("/healthz")).status).toBe(200);
      expect((await get("/queues/")).status).toBe(200);
      const callback = await get("/api/v1/trainings/any/outcome");
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

  it("logs a new line if the reason changes, in a process without workers too", async () => {
    const redis = await openRedis();
    await openWorld(redis.url);
    const service = startService(world as World, { ROLE: "web" });
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
    "$what in the middle of a stage: the run is decided once afterwards, without a line for each refusal",
    async ({ begin, end, reason }) => {
      const redis = await openRedis();
      const { client, sql } = await openWorld(redis.url);
      const service = startService(world as World, { LOCK_TTL_MS: "1000" });
      await service.untilReady();
      const hold = await holdTable(world as World, "ratings_buffer");
      const jobIds = [await client.send(INBOX_JOBS.event, { runId: "first" })];
      await hold.untilSomeoneWaits();
      for (const runId of ["second", "third"]) jobIds.push(await client.send(INBOX_JOBS.event, { runId }));
      await begin(redis);
      await service.untilLogged(reason);
      const jobLocks = async () => (await redis.admin.keys("*gather:*:lock")).length;
      // A full Redis refuses to renew the lock, so the job stalls; a replica keeps expired keys.
      if (reason === FULL.reason)
        await until("the job's lock has run out", async () => (await jobLocks()) === 0);
      await hold.release();
      await end(redis);
      for (const jobId of jobIds) await client.waitForDecision(jobId, { limitMs: 25_000 });
      expect(await sql("SELECT 1 FROM retraining_decisions WHERE decision = 'trigger_mock'")).toHaveLength(1);
      expect(service.warnings()).toEqual([expect.stringContaining(reason)]);
    },
  );

  it.each(TROUBLES)(
    "$what at the start: waited for, with one line",
    async ({ begin, end, reason, remedy }) => {
      const redis = await openRedis();
      const { decide } = await openWorld(redis.url);
      await begin(redis);
      const service = startService(world as World);
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

  it.each(TROUBLES)("$what: doctor and emit say it with the remedy", async ({ begin, reason, remedy }) => {
    const redis = await openRedis();
    const { settings, client } = await openWorld(redis.url);
    await client.inbox.waitUntilReady();
    await begin(redis);
    const doctor = await runOurs("src/cli.ts", ["doctor"], settings);
    expect(doctor.code).toBe(1);
    const at = doctor.stdout.split("\n").findIndex((line) => line.startsWith("❌") && line.includes(reason));
    expect(doctor.stdout.split("\n")[at + 1]).toContain(remedy);
    const emit = await runOurs("src/cli.ts", ["emit"], settings);
    expect(emit).toMatchObject({ code: 1, stdout: "" });
    expect(emit.stderr).toContain(reason);
    expect(emit.stderr).toContain(remedy);
    expect(emit.stderr.trim().split("\n")).toHaveLength(1);
  });

  it("follows a failover behind one address to the new master", async () => {
    const [first, second] = [await openRedis(), await openRedis()];
    const address = await openAddress(first.port);
    await second.admin.replicaof("127.0.0.1", first.port);
    await openWorld(address.url);
    const service = startService(world as World);
    const { readiness } = await service.untilReady();
    await until("the replica is in step", async () =>
      /master_link_status:up/.test(await second.admin.info("replication")),
    );
    await second.admin.replicaof("NO", "ONE");
    await first.admin.replicaof("127.0.0.1", second.port);
    await service.untilLogged(`is a read-only replica of 127.0.0.1:${second.port}`);
    address.pointTo(second.port);
    await service.untilLogged("Redis accepts writes again");
    expect(await readiness()).toEqual(READY);
    // The test's own connections went to the old master.
    const emit = await runOurs("src/cli.ts", ["decide", "--json"], (world as World).settings);
    expect(JSON.parse(emit.stdout)).toMatchObject({ decision: "trigger_mock" });
    expect(service.warnings()).toHaveLength(1);
  });
});

describe("a node of a cluster under a plain REDIS_URL", () => {
  it.each([
    ["all slots", 16_383],
    ["a third of the slots, and not that of our keys", 0],
  ])("with %s: start, doctor and emit refuse it with the remedy", async (_, lastSlot) => {
    const plain = await openRedis();
    const { settings } = await openWorld(plain.url);
    const node = await openRedis({ "cluster-enabled": "yes", "cluster-require-full-coverage": "no" });
    await node.admin.call("CLUSTER", "ADDSLOTSRANGE", "0", String(lastSlot));
    const changed = { ...settings, REDIS_URL: node.url };
    const service = await runOurs("src/main.ts", [], changed);
    const doctor = await runOurs("src/cli.ts", ["doctor"], changed);
    const emit = await runOurs("src/cli.ts", ["emit"], changed);
    for (const { code } of [service, doctor, emit]) expect(code).toBe(1);
    for (const text of [service.stderr, doctor.stdout, emit.stderr]) {
      expect(text).toContain(`Redis at 127.0.0.1:${node.port} is a node of a Redis Cluster`);
      expect(text).toContain("Set REDIS_URL to a Redis outside of a cluster");
    }
  });
});

/** An address that forwards new connections to the server named last, and leaves open ones alone. */
async function openAddress(port: number) {
  let target = port;
  const sockets = new Set<Socket>();
  const server = createServer((near) => {
    const far = connect(target, "127.0.0.1");
    near.pipe(far).pipe(near);
    for (const socket of [near, far]) {
      sockets.add(socket);
      socket.on("error", () => {});
      socket.on("close", () => [near, far].forEach((each) => each.destroy()));
    }
  });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  servers.unshift({
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  });
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    pointTo(next: number) {
      target = next;
    },
  };
}
