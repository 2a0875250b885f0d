import { afterEach, describe, expect, it } from "vitest";
import type { ModelConfig } from "../../src/config/config.ts";
import { addCheck, createWorld, holdTable, until, withQueue, type World } from "../support/world.ts";

let world: World;
afterEach(() => world.close());

const LOCK_TTL_MS = 2_000;
const TROUBLED = Array.from({ length: 12 }, (_, index) => `troubled-${index + 1}`);
const HEALTHY = ["healthy-1", "healthy-2", "healthy-3"];

const tableOf = (model: string): string => `buffer_${model.replace("-", "_")}`;

function withBuffer(own: ModelConfig, table: string): ModelConfig {
  const buffer = { kind: "table", table, columns: {}, where: {}, unit: "rows", since: null } as const;
  return { ...own, source: { ...own.source, buffer } };
}

async function startWorld(): Promise<void> {
  world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", LOCK_TTL_MS: String(LOCK_TTL_MS) } });
  await addCheck(world);
  for (const model of TROUBLED) await world.sql(`CREATE TABLE ${tableOf(model)} (LIKE ratings_buffer)`);
  const own = world.config.models.get("default") as ModelConfig;
  const models = new Map([
    ...HEALTHY.map((model) => [model, own] as const),
    ...TROUBLED.map((model) => [model, withBuffer(own, tableOf(model))] as const),
  ]);
  await world.startApp({ models });
}

/** The highest number of concurrent readings during `during`, and of those that took long. */
async function watchReadings(during: () => Promise<void>): Promise<{ active: number; long: number }> {
  const most = { active: 0, long: 0 };
  const done = new AbortController();
  const watching = (async () => {
    while (!done.signal.aborted) {
      const [row] = await world.sql<{ active: number; long: number }>(
        `SELECT count(*)::int AS active, count(*) FILTER (WHERE clock_timestamp() - query_start > interval '4 s')::int AS long
         FROM pg_stat_activity WHERE datname = current_database() AND state = 'active' AND query LIKE 'SELECT set_config(''statement_timeout''%'`,
      );
      most.active = Math.max(most.active, row?.active ?? 0);
      most.long = Math.max(most.long, row?.long ?? 0);
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  })();
  try {
    await during();
  } finally {
    done.abort();
    await watching;
  }
  return most;
}

let eventCount = 0;
const send = (model: string): Promise<string> =>
  world.client.send("drift_monitoring.completed", { runId: `drift-${(eventCount += 1)}`, model });

/** How long the slowest healthy model waits for its decision, in milliseconds. */
async function decideHealthy(): Promise<number> {
  const begun = performance.now();
  await Promise.all(
    HEALTHY.map(async (model) => world.client.waitForDecision(await send(model), { limitMs: 20_000 })),
  );
  return performance.now() - begun;
}

/** The number of decisions by troubled model. */
async function countDecisions(): Promise<Record<string, number>> {
  const rows = await world.sql<{ model: string; count: number }>(
    "SELECT model, count(*)::int AS count FROM retraining_decisions WHERE model LIKE 'troubled%' GROUP BY model",
  );
  return Object.fromEntries(rows.map(({ model, count }) => [model, count]));
}

async function withLockedTables(use: () => Promise<void>): Promise<void> {
  const hold = await holdTable(world, TROUBLED.map(tableOf).join(", "));
  try {
    await use();
  } finally {
    await hold.release();
  }
}

/** Sends an event for each troubled model; none of them may start another run. */
async function expectFolded(): Promise<void> {
  for (const jobId of await Promise.all(TROUBLED.map(send))) {
    const job = await until("the event is processed", async () => {
      const found = await world.client.inbox.getJob(jobId);
      return found?.finishedOn === undefined ? null : found;
    });
    expect(job.returnvalue).toMatchObject({ outcome: "folded" });
  }
}

describe("twelve models whose tables are locked", () => {
  it(
    "delay the others by seconds only, occupy a bounded number of slots, and decide once released",
    { timeout: 90_000 },
    async () => {
      await startWorld();
      const most = await watchReadings(() =>
        withLockedTables(async () => {
          await Promise.all(TROUBLED.map(send));
          expect(await decideHealthy()).toBeLessThan(10_000);

          await until("each troubled model was attempted", () =>
            withQueue(world, "gather", async (queue) => {
              const counts = await queue.getJobCounts("active", "delayed", "wait");
              return counts["active"] === 3 && counts["delayed"] === 9;
            }),
          );
          for (let round = 0; round < 3; round += 1) expect(await decideHealthy()).toBeLessThan(5_000);

          // A run that waits to read its evidence keeps its lock, even beyond the lock's TTL.
          await expectFolded();
          await new Promise((resolve) => setTimeout(resolve, 2 * LOCK_TTL_MS));
          await expectFolded();
          expect(await countDecisions()).toEqual({});
        }),
      );
      expect(most.long).toBe(3);
      expect(most.active).toBeLessThanOrEqual(8);
      await until("each troubled model and its one follow-up have decided", async () => {
        const counts = await countDecisions();
        return TROUBLED.every((model) => counts[model] === 2);
      });
    },
  );
});
