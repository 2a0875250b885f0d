import { once } from "node:events";
import { describe, expect, it } from "vitest";
import { PGBOUNCER } from "../../support/pgbouncer.ts";
import { ALL_MIGRATIONS, captureLog, DAG_TABLE, usePooler } from "../../support/pooled-world.ts";
import { runScript, spawnScript } from "../../support/process.ts";
import { failureOf, holdTable, until } from "../../support/world.ts";

describe.skipIf(PGBOUNCER === undefined)("behind PgBouncer in transaction mode", () => {
  const { createPooledWorld, closeAll } = usePooler();

  describe("a first start", () => {
    it("of several processes at once succeeds: all come up, one migrates, and no lock is left", async () => {
      for (let round = 0; round < 5; round += 1) {
        const world = await createPooledWorld();
        const databases = Array.from({ length: 4 }, () => world.openDatabase());
        const done = await Promise.all(databases.map((database) => database.migrate()));
        expect(done.flat()).toEqual(ALL_MIGRATIONS);
        expect(await world.listAdvisoryLocks()).toEqual([]);
        await closeAll();
      }
    });

    it("leaves nothing behind that could make the next migration hang", async () => {
      const world = await createPooledWorld();
      expect(await world.openDatabase().migrate()).toEqual(ALL_MIGRATIONS);
      expect(await world.listAdvisoryLocks()).toEqual([]);
      // As if a newer version had added migrations.
      await world.sql("DROP SCHEMA public CASCADE; CREATE SCHEMA public");
      // Two concurrent transactions open both server connections, so the next migration may get either.
      const clients = await Promise.all([
        world.connect(world.pooled.databaseUrl),
        world.connect(world.pooled.databaseUrl),
      ]);
      await Promise.all(clients.map((client) => client.query("SELECT pg_sleep(0.05)")));
      expect(await world.openDatabase().migrate()).toEqual(ALL_MIGRATIONS);
    });
  });

  describe("a migration that fails or is killed", () => {
    it("leaves neither a lock nor a partial migration if its process is killed", async () => {
      const world = await createPooledWorld();
      await world.sql(DAG_TABLE);
      const hold = await holdTable(world, "retraining_decisions");
      const settings = { ...world.settings, DATABASE_URL: world.pooled.databaseUrl };
      const child = spawnScript("src/cli.ts", ["migrate"], settings);
      await hold.untilSessionWaits();
      expect(await world.listAdvisoryLocks()).toHaveLength(1);
      child.kill("SIGKILL");
      await once(child, "exit");
      await until("the lock is gone", async () => (await world.listAdvisoryLocks()).length === 0);
      await hold.release();
      expect(await world.sql("SELECT to_regclass('retrigger_migrations') AS name")).toEqual([{ name: null }]);
      const { code, stdout } = await runScript("src/cli.ts", ["migrate"], settings);
      expect({ code, stdout }).toEqual({ code: 0, stdout: `Migrated: ${ALL_MIGRATIONS.join(", ")}\n` });
    });

    it("is rolled back as a whole if a step fails, and says that nothing was changed", async () => {
      const world = await createPooledWorld();
      await world.sql(
        "CREATE TABLE in_the_way (id INTEGER); CREATE INDEX retraining_events_received ON in_the_way (id)",
      );
      const message = await failureOf(world.openDatabase().migrate());
      expect(message).toContain('relation "retraining_events_received" already exists');
      expect(message).toContain("Nothing was changed");
      const tables = await world.sql("SELECT FROM pg_class WHERE relname ~ '^retr' AND relkind = 'r'");
      expect(tables).toEqual([]);
      expect(await world.listAdvisoryLocks()).toEqual([]);
      await world.sql("DROP TABLE in_the_way");
      expect(await world.openDatabase().migrate()).toEqual(ALL_MIGRATIONS);
    });

    it("does not block readers while it waits for a long transaction, and names the session that it waits for", async () => {
      const world = await createPooledWorld();
      await world.sql(DAG_TABLE);
      const reader = await world.connect(world.config.databaseUrl);
      await reader.query("BEGIN; SELECT FROM retraining_decisions");
      const { log, lines } = captureLog();
      const migrating = world.openDatabase(log).migrate();
      await until("the wait is logged", async () => lines.length > 0);
      await world.sql("SELECT FROM retraining_decisions");
      await reader.query("COMMIT");
      expect(await migrating).toEqual(ALL_MIGRATIONS);
      expect(lines).toEqual([
        expect.objectContaining({
          msg: "waiting for a transaction that keeps a table from being migrated",
          holder: expect.objectContaining({ applicationName: "someone" }),
        }),
      ]);
    });
  });
});
