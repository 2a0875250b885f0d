import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { startEmbeddedServers } from "../../src/embedded/servers.ts";
import { type Field, type FieldOptions, openField } from "./field.ts";
import { controlPostgres, controlRedis, type ServerControl } from "./servers.ts";
import { createTcpProxy, type TcpProxy } from "./tcp-proxy.ts";
import { createTemplate } from "./template.ts";
import type { WorkerProcess } from "./worker-process.ts";

/** Two servers of one's own, with a wire to each that can be cut; one run after the other is made on them. */
export interface Lane {
  postgres: ServerControl & { wire: TcpProxy };
  redis: ServerControl & { wire: TcpProxy };
  /** Makes a database and a queue prefix for one run. */
  openField(options: FieldOptions): Promise<Field>;
  close(): Promise<void>;
}

let laneCount = 0;

/** @param root The code that the workers run: ours, or a mutant's. */
export async function openLane(root = process.cwd()): Promise<Lane> {
  laneCount += 1;
  const name = `lane${laneCount}`;
  const servers = await startEmbeddedServers({ isDurable: true, say: console.log });
  const postgres = await controlPostgres(servers.databaseUrl);
  const redis = await controlRedis(servers.redisUrl);
  const wires = {
    postgres: await createTcpProxy(servers.databaseUrl),
    redis: await createTcpProxy(servers.redisUrl),
  };
  const directory = join(process.cwd(), ".data", "faults", `${process.pid}-${name}`);
  await mkdir(directory, { recursive: true });
  await createTemplate(servers.databaseUrl, root);
  const workers: WorkerProcess[] = [];
  let fieldCount = 0;
  return {
    postgres: { ...postgres, wire: wires.postgres },
    redis: { ...redis, wire: wires.redis },
    openField(options) {
      fieldCount += 1;
      return openField({ root, servers, wires, directory, workers, name: `field${fieldCount}` }, options);
    },
    async close() {
      // Those of a field that a failed test left open.
      for (const { child } of workers) child.kill("SIGKILL");
      await wires.postgres.close();
      await wires.redis.close();
      await postgres.stop();
      await redis.stop();
      await servers.stop();
      await rm(directory, { recursive: true, force: true });
    },
  };
}

/** Takes one of the lanes, once one is free; whoever takes it puts it back. */
export async function takeLane(lanes: Lane[]): Promise<Lane> {
  for (;;) {
    const lane = lanes.pop();
    if (lane) return lane;
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}
