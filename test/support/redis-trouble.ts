import type { ChildProcess } from "node:child_process";
import { once } from "node:events";
import { afterEach, expect } from "vitest";
import { type RedisServer, startRedisServer } from "./redis-server.ts";
import { startService } from "./service-process.ts";
import { addCheck, createWorld, type World } from "./world.ts";

/** Stops the service, the world and the servers that a test of a file opened after that test. */
export function useOwnRedis() {
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

  return {
    async openRedis(settings: Record<string, string> = {}): Promise<RedisServer> {
      const redis = await startRedisServer(settings);
      servers.push(redis);
      redisServers.push(redis);
      return redis;
    },
    async openWorld(redisUrl: string): Promise<World> {
      world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", REDIS_URL: redisUrl } });
      await addCheck(world);
      return world;
    },
    startService(world: World, changes?: Record<string, string>) {
      const service = startService(world, changes);
      children.push(service.child);
      return service;
    },
    /** Stops a server after the test, before those that were started earlier. */
    stopLater(server: { stop(): Promise<void> }): void {
      servers.unshift(server);
    },
  };
}

export const READY = { status: 200, body: { isReady: true, postgres: "up", redis: "up" } };
export const refusing = (reason: string) => ({
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

export interface Trouble {
  what: string;
  begin(redis: RedisServer): Promise<unknown>;
  end(redis: RedisServer): Promise<unknown>;
  reason: string;
  remedy: string;
}

export const FULL: Trouble = {
  what: "full",
  begin: ({ admin }) => admin.config("SET", "maxmemory", "1"),
  end: ({ admin }) => admin.config("SET", "maxmemory", "0"),
  reason: "is full: its limit, maxmemory, is 1B",
  remedy: "Raise maxmemory",
};
export const DEMOTED: Trouble = {
  what: "demoted",
  begin: ({ admin }) => admin.replicaof(...NO_MASTER),
  end: ({ admin }) => admin.replicaof("NO", "ONE"),
  reason: "is a read-only replica of 127.0.0.1:1",
  remedy: "Set REDIS_URL to the master",
};
export const TROUBLES = [FULL, DEMOTED];
