import { once } from "node:events";
import { type AddressInfo, connect, createServer, type Socket } from "node:net";
import { setTimeout as pause } from "node:timers/promises";
import { describe, expect, it } from "vitest";
import { createLogger } from "../../src/process/logger.ts";
import { createServerState } from "../../src/process/server-state.ts";
import { connectRedis } from "../../src/redis/connection.ts";
import { createTcpProxy } from "../faults/tcp-proxy.ts";
import { runScript } from "../support/process.ts";
import { READY, useOwnRedis } from "../support/redis-trouble.ts";
import { until } from "../support/world.ts";

const { openRedis, openWorld, startService, stopLater } = useOwnRedis();

describe("a failover of Redis", () => {
  it("behind one address is followed to the new master", async () => {
    const [first, second] = [await openRedis(), await openRedis()];
    const address = await openAddress(first.port);
    stopLater(address);
    await second.admin.replicaof("127.0.0.1", first.port);
    const world = await openWorld(address.url);
    const service = startService(world);
    const { readiness } = await service.untilReady();
    await until("the replica is in sync", async () =>
      /master_link_status:up/.test(await second.admin.info("replication")),
    );
    await second.admin.replicaof("NO", "ONE");
    await first.admin.replicaof("127.0.0.1", second.port);
    await service.untilLogged(`is a read-only replica of 127.0.0.1:${second.port}`);
    address.pointTo(second.port);
    await service.untilLogged("Redis accepts writes again");
    expect(await readiness()).toEqual(READY);
    // The test's own connections still lead to the old master.
    const emit = await runScript("src/cli.ts", ["decide", "--json"], world.settings);
    expect(JSON.parse(emit.stdout)).toMatchObject({ decision: "trigger_mock" });
    expect(service.warnings()).toHaveLength(1);
  });
});

describe("a connection that gets no more responses", () => {
  it("is given up for a new one, with what it waits for", async () => {
    const { url } = await openRedis();
    const wire = await createTcpProxy(url);
    stopLater({ stop: wire.close });
    const state = createServerState("Redis", createLogger("silent"));
    const redis = connectRedis({ redisUrl: wire.url }, state, { failFast: false });
    try {
      expect(await redis.ping()).toBe("PONG");
      // What is on its way now stays there, and so does all that follows it; other connections work.
      wire.slowDown(10 * 60_000);
      const response = redis.set("key", "value");
      await pause(100);
      wire.slowDown(0);
      expect(await response).toBe("OK");
    } finally {
      redis.disconnect();
    }
  });
});

describe("a node of a cluster under a plain REDIS_URL", () => {
  it.each([
    ["all slots", 16_383],
    ["a third of the slots, without that of our keys", 0],
  ])("with %s: start, doctor and emit refuse it with the remedy", async (_, lastSlot) => {
    const plain = await openRedis();
    const world = await openWorld(plain.url);
    const { settings } = world;
    const node = await openRedis({ "cluster-enabled": "yes", "cluster-require-full-coverage": "no" });
    await node.admin.call("CLUSTER", "ADDSLOTSRANGE", "0", String(lastSlot));
    const changed = { ...settings, REDIS_URL: node.url };
    const service = await runScript("src/main.ts", [], changed);
    const doctor = await runScript("src/cli.ts", ["doctor"], changed);
    const emit = await runScript("src/cli.ts", ["emit"], changed);
    for (const { code } of [service, doctor, emit]) expect(code).toBe(1);
    for (const text of [service.stderr, doctor.stdout, emit.stderr]) {
      expect(text).toContain(`Redis at 127.0.0.1:${node.port} is a node of a Redis Cluster`);
      expect(text).toContain("Name its nodes in REDIS_CLUSTER_NODES, such as redis-1:6379");
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
  return {
    url: `redis://127.0.0.1:${(server.address() as AddressInfo).port}`,
    pointTo(next: number) {
      target = next;
    },
    async stop() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, "close");
    },
  };
}
