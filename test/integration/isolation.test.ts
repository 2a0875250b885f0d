import { writeFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { addCheck, createWorld, failureOf, type World } from "../support/world.ts";

let world: World;
let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(process.cwd(), ".data", "models-"));
});
afterEach(async () => {
  await world.close();
  await rm(directory, { recursive: true });
});

const SLOW_SECONDS = 6;

describe("one model's slow or broken database", () => {
  it("does not delay the others, however many events come for it", async () => {
    const file = join(directory, "models.yaml");
    writeFileSync(
      file,
      `models:
  healthy: {}
  slow: { ratingsBufferTable: slow_buffer }
  broken: { ratingsBufferTable: broken_buffer }
  missing: { ratingsBufferTable: nowhere }`,
    );
    world = await createWorld({ settings: { MIN_BUFFER_SIZE: "0", RETRIGGER_CONFIG: file } });
    await world.sql(
      `CREATE VIEW slow_buffer AS SELECT ratings_buffer.* FROM ratings_buffer, pg_sleep(${SLOW_SECONDS});
       CREATE FUNCTION fail() RETURNS boolean LANGUAGE plpgsql AS $$ BEGIN RAISE 'the disk is on fire'; END $$;
       CREATE VIEW broken_buffer AS SELECT * FROM ratings_buffer WHERE fail();
       INSERT INTO ratings_buffer VALUES (1, 1, 1, 1, 'batch')`,
    );
    await addCheck(world);
    await world.startApp();
    const slowFrom = performance.now();
    const slow = Array.from({ length: 20 }, (_, index) =>
      world.decide({ runId: `slow-${index}`, model: "slow" }),
    );
    const missing = failureOf(world.decide({ model: "missing" }));
    const broken = await world.client.send("drift_monitoring.completed", { runId: "b", model: "broken" });

    for (let count = 0; count < 20; count += 1) {
      expect((await world.decide({ model: "healthy" })).model).toBe("healthy");
    }
    expect(performance.now() - slowFrom).toBeLessThan(SLOW_SECONDS * 1_000);
    expect(await missing).toContain("nowhere");
    expect((await Promise.all(slow)).map(({ model }) => model)).toEqual(slow.map(() => "slow"));
    expect(performance.now() - slowFrom).toBeGreaterThan(SLOW_SECONDS * 1_000);
    // The broken one is being tried again all the while.
    expect((await world.client.inbox.getJob(broken))?.returnvalue).toMatchObject({ outcome: "started" });
    expect(await world.sql("SELECT FROM retraining_decisions WHERE model = 'broken'")).toEqual([]);
  });
});
