import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { GUIDE_POLICY } from "../../../src/core/policy.ts";
import { createDatabase, type Database } from "../../../src/postgres/database.ts";
import { createLogger } from "../../../src/process/logger.ts";
import { GUIDE_SOURCES } from "../../support/sources.ts";
import { createWorld, until, type World } from "../../support/world.ts";

const MODELS = Array.from({ length: 8 }, (_, number) => `m${number}`);

let world: World;
let database: Database;
beforeAll(async () => {
  world = await createWorld();
  database = createDatabase(world.config, createLogger("silent"));
  // Each count takes its time and leaves a trace.
  await world.sql(`
    CREATE VIEW slow_buffer AS SELECT ratings_buffer.* FROM ratings_buffer,
      (SELECT pg_sleep(1), pg_notify('counts', '') OFFSET 0) AS slowly`);
  await world.sql("INSERT INTO ratings_buffer SELECT 1, 1, 3, n, 'b1' FROM generate_series(1, 100) AS n");
});
afterAll(async () => {
  await database.close();
  await world.close();
});

const configs = new Map(
  MODELS.map((model) => [
    model,
    {
      policy: GUIDE_POLICY,
      source: { ...GUIDE_SOURCES, buffer: { ...GUIDE_SOURCES.buffer, table: "slow_buffer" } },
      trainer: { name: "github" },
      expectDriftRunEveryMs: null,
    },
  ]),
);

function gather(model: string) {
  const config = configs.get(model);
  if (!config) throw new Error(`there is no ${model}`);
  return database.fetchEvidence(model, config);
}

async function countsOf(act: () => Promise<unknown>): Promise<number> {
  const listener = new pg.Client(world.config.databaseUrl);
  await listener.connect();
  let counts = 0;
  listener.on("notification", () => (counts += 1));
  try {
    await listener.query("LISTEN counts");
    await act();
    // What was notified of before comes before the result.
    await listener.query("SELECT");
    return counts;
  } finally {
    await listener.end();
  }
}

describe("models that share a buffer table", () => {
  it("share a slow count once it is known to be slow, and the evidence says so", async () => {
    expect((await gather("m0")).buffer).toMatchObject({ size: 100, counted: { by: "query", lagMs: null } });
    await gather("m1");
    const counts = await countsOf(async () => {
      const all = await Promise.all(MODELS.map((model) => gather(model)));
      expect(all.map(({ buffer }) => buffer.size)).toEqual(MODELS.map(() => 100));
      for (const { buffer } of all) expect(buffer.counted).toMatchObject({ by: "query", problem: null });
      expect(all.every(({ buffer }) => buffer.counted?.lagMs !== null)).toBe(true);
    });
    // The first to come, and one for all that came while it was counted.
    expect(counts).toBe(2);
  });

  it("never get a count that began before they asked for it", async () => {
    const first = gather("m0");
    await until("the first one counts", async () => {
      const rows = await world.sql(
        "SELECT FROM pg_stat_activity WHERE datname = current_database() AND wait_event = 'PgSleep'",
      );
      return rows.length > 0;
    });
    await world.sql("INSERT INTO ratings_buffer VALUES (1, 1, 3, 1, 'late')");
    const [row] = await world.sql<{ now: string }>("SELECT to_json(now()) #>> '{}' AS now");
    const others = Promise.all([gather("m1"), gather("m2")]);
    expect((await first).buffer.size).toBe(100);
    const [ended] = await world.sql<{ now: string }>("SELECT to_json(now()) #>> '{}' AS now");
    const [second, third] = await others;
    for (const { buffer, takenAt } of [second, third]) {
      expect(buffer.size).toBe(101);
      expect(Date.parse(takenAt)).toBeGreaterThanOrEqual(Date.parse(row?.now ?? ""));
      // What may end while it is counted, a training say, was read before.
      expect(Date.parse(takenAt)).toBeLessThan(Date.parse(ended?.now ?? ""));
      expect(buffer.counted?.lagMs).toBeGreaterThan(0);
    }
  });
});
