import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { startEmbeddedServers } from "../../src/embedded/servers.ts";
import { startRedisCluster } from "../support/redis-cluster.ts";
import { startRedisSentinel } from "../support/redis-sentinel.ts";
import type { ReplicatedRedis } from "../support/replicated-redis.ts";
import { SCRATCH } from "../support/scratch.ts";
import { openSandbox, type Sandbox, type SandboxOptions } from "./sandbox.ts";
import { controlPostgres, controlRedis, type ServerControl } from "./servers.ts";
import { createTcpProxy, type TcpProxy } from "./tcp-proxy.ts";
import { createTemplate } from "./template.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** A Postgres and a Redis, each behind a proxy that can be cut, on which runs are made one after another. */
export interface Lane {
  postgres: ServerControl & { proxy: TcpProxy };
  /** The only Redis, if it is not replicated. */
  redis: ServerControl & { proxy: TcpProxy };
  /** The servers that replace each other, which are behind no proxy: they tell clients their own addresses. */
  replicated: ReplicatedRedis | null;
  /** Creates a database and a queue prefix for one run. */
  openSandbox(options: SandboxOptions): Promise<Sandbox>;
  close(): Promise<void>;
}

let laneCount = 0;

export interface LaneOptions {
  /** The directory of the code that the workers run: this checkout or a mutant. */
  root?: string;
  redis?: "alone" | "cluster" | "sentinel";
}

const startReplicated = { alone: async () => null, cluster: startRedisCluster, sentinel: startRedisSentinel };

export async function openLane({
  root = process.cwd(),
  redis: kind = "alone",
}: LaneOptions = {}): Promise<Lane> {
  laneCount += 1;
  const name = `lane${laneCount}`;
  const replicated = await startReplicated[kind]();
  const servers = await startEmbeddedServers({
    redisUrl: replicated?.url,
    isDurable: true,
    parent: SCRATCH,
    say: console.log,
  });
  const postgres = await controlPostgres(servers.databaseUrl);
  const redis = await controlRedis(servers.redisUrl);
  const proxies = {
    postgres: await createTcpProxy(servers.databaseUrl),
    redis: await createTcpProxy(servers.redisUrl),
  };
  const directory = join(process.cwd(), ".data", "faults", `${process.pid}-${name}`);
  await mkdir(directory, { recursive: true });
  await createTemplate(servers.databaseUrl, root);
  const workers: WorkerProcess[] = [];
  let sandboxCount = 0;
  return {
    postgres: { ...postgres, proxy: proxies.postgres },
    redis: { ...redis, proxy: proxies.redis },
    replicated,
    openSandbox(options) {
      sandboxCount += 1;
      return openSandbox(
        { root, servers, proxies, replicated, directory, workers, name: `sandbox${sandboxCount}` },
        options,
      );
    },
    async close() {
      // Workers of a sandbox that a failed test left open.
      for (const { child } of workers) child.kill("SIGKILL");
      await proxies.postgres.close();
      await proxies.redis.close();
      await postgres.stop();
      await redis.stop();
      await servers.stop();
      await replicated?.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Lends lanes to concurrent runs, first come, first served. */
export function createLanes(count: number, options: LaneOptions = {}) {
  const lanes: Lane[] = [];
  const free: Lane[] = [];
  const waiting: ((lane: Lane) => void)[] = [];
  return {
    async open(): Promise<void> {
      lanes.push(...(await Promise.all(Array.from({ length: count }, () => openLane(options)))));
      free.push(...lanes);
    },
    async use<T>(run: (lane: Lane) => Promise<T>): Promise<T> {
      const lane = free.pop() ?? (await new Promise<Lane>((resolve) => waiting.push(resolve)));
      try {
        return await run(lane);
      } finally {
        const next = waiting.shift();
        if (next) next(lane);
        else free.push(lane);
      }
    },
    async close(): Promise<void> {
      await Promise.all(lanes.map((lane) => lane.close()));
    },
  };
}
