import { readFile } from "node:fs/promises";
import type { Redis } from "ioredis";
import type { Client } from "pg";

/** Seconds of CPU since the processes started. */
export interface CpuTimes {
  worker: number;
  redis: number;
  /** All processes of the server. */
  postgres: number;
}

/** The kernel counts in hundredths of a second on every common Linux. */
const TICKS_PER_SECOND = 100;

export async function readCpuTimes(
  workerId: number | undefined,
  redis: Redis,
  database: Client,
): Promise<CpuTimes> {
  const info = await redis.info("cpu");
  const { rows } = await database.query<{ id: number }>("SELECT pg_backend_pid() AS id");
  const { parent } = await readProcess(rows[0]?.id);
  const children = await readFile(`/proc/${parent}/task/${parent}/children`, "utf8");
  const servers = await Promise.all([parent, ...children.trim().split(" ")].map(readProcess));
  return {
    worker: (await readProcess(workerId)).seconds,
    redis: ["user", "sys"].reduce(
      (sum, kind) => sum + Number(new RegExp(`used_cpu_${kind}:([\\d.]+)`).exec(info)?.[1]),
      0,
    ),
    postgres: servers.reduce((sum, { seconds }) => sum + seconds, 0),
  };
}

/** With the times of the children that have ended. Nothing for a process that has just ended. */
async function readProcess(
  id: number | string | undefined,
): Promise<{ parent: string | undefined; seconds: number }> {
  const stat = await readFile(`/proc/${id}/stat`, "utf8").catch(() => "");
  // Its name, in parentheses, may contain anything.
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const ticks = fields.slice(11, 15).reduce((sum, value) => sum + Number(value), 0);
  return { parent: fields[1], seconds: ticks / TICKS_PER_SECOND };
}
