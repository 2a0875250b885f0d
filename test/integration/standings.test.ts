import pg from "pg";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createStandingStore, type ModelFacts } from "../../src/postgres/pages/standings.ts";
import { createLogger } from "../../src/process/logger.ts";
import { createWorld, type World } from "../support/world.ts";

let world: World;
let database: Database;
beforeAll(async () => {
  world = await createWorld();
  database = createDatabase(world.config, createLogger("silent"));
});
afterAll(async () => {
  await database.close();
  await world.close();
});

/** Records decisions of a model, each with a dispatch of these, the oldest first. */
async function addDispatches(model: string, trainer: string, states: readonly string[]): Promise<void> {
  for (const state of states)
    await world.sql(
      `WITH decision AS (INSERT INTO retraining_decisions (model, decision, reason, reason_codes, run_id, previous_id, taken_at)
         SELECT $1, 'trigger', 'drift_detected', ARRAY['drift_detected'], gen_random_uuid(), COALESCE(max(id), 0), now()
         FROM retraining_decisions RETURNING id)
       INSERT INTO retraining_dispatches (decision_id, model_name, trainer, state, request)
       SELECT id, $1, $2, $3, '{}' FROM decision`,
      [model, trainer, state],
    );
}

async function readFacts(model: string): Promise<ModelFacts | undefined> {
  return (await database.listModelFacts(new Map([[model, false]])))[0];
}

describe("where a model stands", () => {
  it.each([
    ["an older dispatch that is unknown counts before a newer one", "github", ["unknown", "succeeded"], 0],
    ["the newest of several that are unknown counts", "github", ["unknown", "unknown", "failed"], 1],
    ["without an unknown one, the newest counts", "github", ["failed", "succeeded", "running"], 2],
    ["the mock trainer's are never unknown", "mock", ["unknown", "sent"], 1],
  ])("%s", async (name, trainer, states, expected) => {
    await addDispatches(name, trainer, states);
    await addDispatches("another", "github", ["unknown", "running"]);
    const ids = await world.sql<{ id: number }>(
      "SELECT id FROM retraining_decisions WHERE model = $1 ORDER BY id",
      [name],
    );
    const facts = await readFacts(name);
    expect(facts?.training).toMatchObject({ decisionId: ids[expected]?.id, state: states[expected] });
    expect(facts?.latest).toMatchObject({ id: ids.at(-1)?.id, decision: "trigger" });
  });

  it("is found without reading the rows of other models", async () => {
    // By such statistics, any row seems to be of any model.
    await world.sql("TRUNCATE retraining_decisions CASCADE");
    await world.sql(
      `INSERT INTO retraining_decisions (model, decision, reason, run_id, previous_id, taken_at)
       SELECT 'big', 'trigger', 'drift_detected', gen_random_uuid(), n, now() FROM generate_series(1, 5000) AS n`,
    );
    await world.sql(
      `INSERT INTO retraining_dispatches (decision_id, model_name, trainer, state, request)
       SELECT id, model, 'github', 'succeeded', '{}' FROM retraining_decisions`,
    );
    await world.sql("ANALYZE retraining_decisions, retraining_dispatches");
    const models = ["big", "absent"];
    const read = await countRowsRead(async (store) => {
      const facts = await store.listModelFacts(new Map(models.map((model) => [model, false])));
      const found = facts.map(({ model, latest, training }) => [model, [latest !== null, training?.state]]);
      expect(Object.fromEntries(found)).toEqual({ big: [true, "succeeded"], absent: [false, undefined] });
      const figures = await store.listModelFigures(models);
      const counts = figures.map(({ model, points }) => [model, points.length]);
      expect(Object.fromEntries(counts)).toEqual({ big: 24, absent: 0 });
    });
    expect(read).toBeLessThan(100);
  });
});

/** How many rows of decisions and dispatches Postgres fetches while `use` reads. */
async function countRowsRead(use: (store: ReturnType<typeof createStandingStore>) => Promise<void>) {
  // The figures of a transaction are those of its connection.
  const pool = new pg.Pool({ connectionString: world.config.databaseUrl, max: 1 });
  try {
    await pool.query("BEGIN");
    await use(createStandingStore({ pool, timeZone: "UTC" }));
    const { rows } = await pool.query<{ count: number }>(
      `SELECT sum(seq_tup_read + idx_tup_fetch)::int AS count FROM pg_stat_xact_user_tables
       WHERE relname IN ('retraining_decisions', 'retraining_dispatches')`,
    );
    return rows[0]?.count;
  } finally {
    await pool.end();
  }
}
