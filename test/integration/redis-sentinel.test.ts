import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { setTimeout as pause } from "node:timers/promises";
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from "vitest";
import { parseConfig } from "../../src/config/config.ts";
import { openRedis } from "../../src/redis/target.ts";
import { createTcpProxy } from "../faults/tcp-proxy.ts";
import { runScript } from "../support/process.ts";
import type { RedisProcess } from "../support/redis-process.ts";
import { startRedisSentinel } from "../support/redis-sentinel.ts";
import { READY } from "../support/redis-trouble.ts";
import type { ReplicatedRedis } from "../support/replicated-redis.ts";
import { startService } from "../support/service-process.ts";
import { addCheck, createWorld, until, type World } from "../support/world.ts";

let sentinel: ReplicatedRedis;
let world: World;
const children: ChildProcess[] = [];

beforeAll(async () => {
  sentinel = await startRedisSentinel();
});
afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    if (child.exitCode === null && child.signalCode === null) await once(child, "exit");
  }
  await world.close();
});
afterAll(() => sentinel.stop());

describe("a client of a Redis behind sentinels", () => {
  it("lives on when the new master is announced while it still asks for the old one", async () => {
    world = await createWorld({ settings: sentinel.settings });
    const [first = "", ...others] = (sentinel.settings["REDIS_SENTINELS"] ?? "").split(",");
    const wire = await createTcpProxy(`redis://${first}`);
    const addresses = [new URL(wire.url).host, ...others].join(",");
    const redis = openRedis(parseConfig({ ...world.settings, REDIS_SENTINELS: addresses }), {
      enableOfflineQueue: true,
      retryStrategy: () => 100,
      maxRedirections: 0,
    });
    redis.on("error", () => {});
    try {
      const id = await redis.client("ID");
      const master = await sentinel.findMaster("");
      // A sentinel that is away is nothing to print.
      const printed = vi.spyOn(console, "error");
      wire.cut();
      await pause(300);
      wire.heal();
      expect(printed).not.toHaveBeenCalled();
      printed.mockRestore();
      // The one sentinel that it asks takes its time; the others say at once what happens.
      wire.slowDown(10_000);
      await master.admin.client("KILL", "ID", id);
      await until("it asks again", async () => redis.status === "connecting");
      await sentinel.handOver("");
      await sentinel.untilReplaced(master, "");
      expect(await redis.ping()).toBe("PONG");
    } finally {
      redis.disconnect();
      await wire.close();
      await sentinel.heal();
    }
  });
});

describe("a service whose Redis is behind sentinels", () => {
  it("is described by doctor: which master they name, and its replicas", async () => {
    world = await createWorld({ settings: sentinel.settings });
    const { stdout } = await runScript("src/cli.ts", ["doctor"], world.settings);
    const { host, port } = await sentinel.findMaster("");
    expect(stdout).toContain(`✅ The sentinels name ${host}:${port} as films, with 1 replica(s)`);
    expect(stdout).toContain("✅ Redis accepts writes");
  });

  it.each([
    ["killed", (master: RedisProcess) => master.kill()],
    ["suspended, with its connections open", async (master: RedisProcess) => master.pause()],
  ])("follows the sentinels to the new master when the old one is %s", async (_, end) => {
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", ...sentinel.settings } });
    await addCheck(world);
    const service = startService(world);
    children.push(service.child);
    const { readiness } = await service.untilReady();
    await world.decide();
    const master = await sentinel.findMaster("");
    await end(master);
    await until("it is not ready", async () => (await readiness()).status === 503);
    await sentinel.untilReplaced(master, "");
    await service.untilLogged("Redis is back");
    await until("it is ready", async () => (await readiness()).status === 200);
    expect(await readiness()).toEqual(READY);
    expect((await world.decide()).reason).toBe("already_acted_on");
    const warnings = service.warnings();
    // On a busy machine, the new master may be slow once more.
    expect(warnings).toHaveLength(service.infos("Redis is back"));
    for (const warning of warnings) expect(warning).toContain("Redis is away");
    master.resume();
    await sentinel.heal();
  });
});
