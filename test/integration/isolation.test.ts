import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { withDatabase } from "../../src/cli/connections.ts";
import { dryRun } from "../../src/use-cases/dry-run.ts";
import { addCheck, createWorld, failureOf, holdTable, type World } from "../support/world.ts";

let world: World;
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(process.cwd(), ".data", "models-"));
});
afterEach(async () => {
  await world.close();
  await rm(directory, { recursive: true });
});

describe("a model that is short of ratings", () => {
  it("gets a report that names the setting which its minimum comes from", async () => {
    const file = join(directory, "models.yaml");
    writeFileSync(
      file,
      "models:\n  films: { policy: { when: { driftAlerts: 1, bufferSize: 7 } } }\n  books: {}\n",
    );
    world = await createWorld({ settings: { RETRIGGER_CONFIG: file } });
    await addCheck(world);
    await world.startApp();
    for (const [model, setting] of [
      ["films", "bufferSize of films in models.yaml"],
      ["books", "MIN_BUFFER_SIZE"],
    ] as const) {
      const advice = `   • Ingest more batches or lower ${setting}\n`;
      const { report } = await world.decide({ model });
      expect(report).toContain(advice);
      const { config } = world;
      const dry = await withDatabase(config, (database) => dryRun({ config, database, model }));
      expect(dry.report).toContain(advice);
    }
  });
});

describe("one model's slow or broken database", () => {
  it("does not delay the others, however many events come for it", async () => {
    const file = join(directory, "models.yaml");
    writeFileSync(
      file,
      `models:
  healthy: {}
  slow: { source: { buffer: { table: slow_buffer } } }
  broken: { source: { buffer: { table: broken_buffer } } }
  missing: { source: { buffer: { table: nowhere } } }`,
    );
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", RETRIGGER_CONFIG: file } });
    await world.sql(
      `CREATE TABLE slow_buffer AS SELECT * FROM ratings_buffer;
       CREATE FUNCTION fail() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'the disk is on fire'; END $$;
       CREATE VIEW broken_buffer AS SELECT * FROM ratings_buffer WHERE fail();
       INSERT INTO ratings_buffer VALUES (1, 1, 1, 1, 'batch')`,
    );
    await addCheck(world);
    await world.startApp();
    const send = (runId: string, model: string) =>
      world.client.send("drift_monitoring.completed", { runId, model });
    const hold = await holdTable(world, "slow_buffer");
    const slow = await Promise.all(Array.from({ length: 20 }, (_, index) => send(`slow-${index}`, "slow")));
    const broken = await send("broken", "broken");
    const missing = await send("missing", "missing");
    await hold.untilSessionWaits();

    for (let count = 0; count < 5; count += 1)
      expect((await world.decide({ model: "healthy" })).model).toBe("healthy");
    const undecided = await world.sql("SELECT FROM retraining_decisions WHERE model <> 'healthy'");
    expect(undecided).toEqual([]);
    await hold.release();

    const wait = (jobId: string) => world.client.waitForDecision(jobId, { limitMs: 20_000 });
    expect(await failureOf(wait(missing))).toContain("nowhere");
    expect((await Promise.all(slow.map(wait))).map(({ model }) => model)).toEqual(slow.map(() => "slow"));
    // The broken one is being tried again all the while.
    expect((await world.client.inbox.getJob(broken))?.returnvalue).toMatchObject({ outcome: "started" });
    expect(await world.sql("SELECT FROM retraining_decisions WHERE model = 'broken'")).toEqual([]);
  });
});
