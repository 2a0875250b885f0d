import { describe, expect, it } from "vitest";
import { INBOX_JOBS } from "../../../queues/names.ts";
import { createLogger } from "../../../src/process/logger.ts";
import { createClient } from "../../../src/use-cases/client.ts";
import { PGBOUNCER } from "../../support/pgbouncer.ts";
import { createDatabase } from "../../../src/postgres/database.ts";
import { MAIN_PATH_SETTINGS, takeMainPath } from "../../support/main-path.ts";
import { usePooler } from "../../support/pooled-world.ts";
import { addCheck, addRatings } from "../../support/world.ts";

describe.skipIf(PGBOUNCER === undefined)("behind PgBouncer in transaction mode", () => {
  const { createPooledWorld, closeLater } = usePooler();

  describe("the service", () => {
    it("decides for several models at once, repeatedly, on two server connections", async () => {
      const world = await createPooledWorld({ settings: { MIN_BUFFER_SIZE: "1" } });
      const policy = [...world.config.models.values()].at(0);
      if (!policy) throw new Error("The settings name no model");
      const names = ["default", "ranking", "search", "spam"];
      const config = { ...world.pooled, models: new Map(names.map((name) => [name, policy])) };
      await addCheck(world);
      await addRatings(world, 3);
      await world.startApp(config);
      const client = createClient(config, createLogger("silent"));
      closeLater(client);

      const rounds = 6;
      for (let round = 0; round < rounds; round += 1) {
        const summaries = await Promise.all(
          names.map(async (model) => {
            const job = await client.send(INBOX_JOBS.event, { runId: `drift-${model}-${round}`, model });
            return client.waitForDecision(job, { limitMs: 25_000 });
          }),
        );
        const expected = round === 0 ? "trigger_mock" : "no_action";
        expect(summaries.map(({ decision }) => decision)).toEqual(names.map(() => expected));
      }
      const rows = await world.sql<{ model: string; count: number }>(
        "SELECT model, count(*)::int AS count FROM retraining_decisions GROUP BY model ORDER BY model",
      );
      expect(rows).toEqual(names.map((model) => ({ model, count: rounds })));
      expect(await world.listAdvisoryLocks()).toEqual([]);
    });

    it("takes a model from an event to pruned decisions in a schema of its own", async () => {
      const world = await createPooledWorld({
        settings: { ...MAIN_PATH_SETTINGS, RETRIGGER_SCHEMA: "first" },
      });
      await world.openDatabase().migrate();
      await takeMainPath(world, { ...world.settings, DATABASE_URL: world.pooled.databaseUrl });
      expect(await world.listAdvisoryLocks()).toEqual([]);
    });

    it("never runs a statement that another service prepared for its own schema on the same connection", async () => {
      const world = await createPooledWorld();
      const [model] = [...world.config.models.values()];
      if (!model) throw new Error("The settings name no model");
      const [first, second] = await Promise.all(
        ["first", "second"].map(async (databaseSchema) => {
          const database = createDatabase({ ...world.pooled, databaseSchema }, createLogger("silent"));
          closeLater(database);
          await database.migrate();
          return async () => (await database.gatherEvidence("default", model)).evidence.lastDecisions.length;
        }),
      );
      await world.sql("INSERT INTO second.retraining_decisions (decision) VALUES ('no_action')");
      expect(await first?.()).toBe(0);
      // Occupies the connection on which the first has prepared its statement, so that the second gets the other one.
      const other = await world.connect(world.pooled.databaseUrl);
      await other.query("BEGIN; SELECT 1");
      expect(await second?.()).toBe(1);
      expect(await first?.()).toBe(0);
      await other.query("COMMIT");
    });
  });
});
