import { readFile } from "node:fs/promises";
import type { Redis } from "ioredis";
import type { Client } from "pg";
import type { RunningContender } from "./contender.ts";
import { type CpuTimes, readCpuTimes } from "./cpu.ts";

/** What was measured of one contender, one value for each round. */
export interface Measures {
  p50Ms: number[];
  p99Ms: number[];
  perSecond: number[];
  /** Commands to Redis and round trips to Postgres of one decision. */
  redisCommands: number[];
  transactions: number[];
  /** Milliseconds of CPU of one decision in the burst. */
  cpuMs: Readonly<Record<keyof CpuTimes, number[]>>;
}

export const createMeasures = (): Measures => ({
  p50Ms: [],
  p99Ms: [],
  perSecond: [],
  redisCommands: [],
  transactions: [],
  cpuMs: { worker: [], redis: [], postgres: [] },
});

/** Decisions one after the other. Returns how long each took, in milliseconds. */
export async function runOneByOne({ ended, put }: RunningContender, count: number): Promise<number[]> {
  const latenciesMs: number[] = [];
  for (let index = 0; index < count; index += 1) {
    const startedAt = performance.now();
    const end = ended(1);
    await put(`m${index}`);
    await end;
    latenciesMs.push(performance.now() - startedAt);
  }
  return latenciesMs;
}

/** Decisions about as many models, all requested at once. */
export async function runAtOnce(
  { child, ended, put }: RunningContender,
  count: number,
  { redis, database, measures }: { redis: Redis; database: Client; measures: Measures },
): Promise<void> {
  const [commands, transactions] = [await countCommands(redis), await countTransactions(database)];
  const before = await readCpuTimes(child.pid, redis, database);
  const startedAt = performance.now();
  const end = ended(count);
  await Promise.all(Array.from({ length: count }, (_, index) => put(`m${index}`)));
  await end;
  measures.perSecond.push((count / (performance.now() - startedAt)) * 1000);
  const after = await readCpuTimes(child.pid, redis, database);
  for (const part of ["worker", "redis", "postgres"] as const)
    measures.cpuMs[part].push((1000 * (after[part] - before[part])) / count);
  measures.redisCommands.push(((await countCommands(redis)) - commands) / count);
  measures.transactions.push(((await countTransactions(database)) - transactions) / count);
}

export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
}

/** The median of the ratios of two lists of rounds: other load on the machine, which changes from round to round, cancels out. */
export function pairedRatio(own: readonly number[], other: readonly number[]): number {
  const ratios = own.flatMap((value, round) => {
    const counterpart = other[round];
    return counterpart === undefined ? [] : [value / counterpart];
  });
  return quantile(ratios, 0.5);
}

/** Resident memory in megabytes. */
export async function readRss({ child }: RunningContender): Promise<number> {
  const status = await readFile(`/proc/${child.pid}/status`, "utf8").catch(() => "");
  return Number(/VmRSS:\s+(\d+)/.exec(status)?.[1]) / 1024;
}

async function countCommands(redis: Redis): Promise<number> {
  return Number(/total_commands_processed:(\d+)/.exec(await redis.info("stats"))?.[1]);
}

/** Counts committed transactions; each of our round trips is one. Backends report them with a delay of at most a second. */
async function countTransactions(database: Client): Promise<number> {
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  await database.query("SELECT pg_stat_clear_snapshot()");
  const { rows } = await database.query<{ count: string }>(
    "SELECT xact_commit AS count FROM pg_stat_database WHERE datname = current_database()",
  );
  return Number(rows[0]?.count);
}
