import { readFile } from "node:fs/promises";
import { describe, expect, it } from "vitest";
import { PGBOUNCER } from "../../support/pgbouncer.ts";
import {
  ALL_MIGRATIONS,
  captureLog,
  LOCK_ID,
  type PooledWorld,
  usePooler,
} from "../../support/pooled-world.ts";
import { failureOf, until } from "../../support/world.ts";

describe.skipIf(PGBOUNCER === undefined)("behind PgBouncer in transaction mode", () => {
  const { createPooledWorld } = usePooler();

  describe("a process that starts while another one migrates", () => {
    it("logs once which session holds the lock and what to do, and continues when the other process is done", async () => {
      const world = await createPooledWorld();
      const other = await world.connect(world.config.databaseUrl);
      await other.query(`BEGIN; SELECT pg_advisory_xact_lock(${LOCK_ID})`);
      const { log, lines } = captureLog();
      const waits: string[] = [];
      const migrating = world.openDatabase(log).migrate({ onWait: (text) => waits.push(text) });
      await until("the wait is logged", async () => lines.length > 0);
      await untilThreeRetries(world);
      await other.query("COMMIT");
      expect(await migrating).toEqual(ALL_MIGRATIONS);
      expect(lines).toHaveLength(1);
      const [{ pid } = { pid: 0 }] = (await other.query<{ pid: number }>("SELECT pg_backend_pid() AS pid"))
        .rows;
      expect(lines[0]).toMatchObject({
        level: 40,
        msg: "waiting for another process to finish migrating",
        holder: { pid, applicationName: "someone", state: "idle in transaction" },
        remedy: expect.stringContaining(`pg_terminate_backend(${pid})`),
      });
      expect(waits).toEqual([expect.stringContaining("Waiting for another process to finish migrating")]);
    });

    it("gives up after the limit, and says which session holds the lock and what to do", async () => {
      const world = await createPooledWorld();
      const other = await world.connect(world.config.databaseUrl);
      await other.query(`BEGIN; SELECT pg_advisory_xact_lock(${LOCK_ID})`);
      const [{ pid } = { pid: 0 }] = (await other.query<{ pid: number }>("SELECT pg_backend_pid() AS pid"))
        .rows;
      const migrating = world.openDatabase().migrate({ limitMs: 1_000 });
      const message = await failureOf(migrating);
      await expect(migrating).rejects.toMatchObject({ name: "PermanentError", code: "MIGRATION_LOCKED" });
      expect(message).toContain(`pid ${pid}, application someone`);
      expect(message).toMatch(/since \d{4}-\d\d-\d\dT/);
      expect(message).toContain(`SELECT pg_terminate_backend(${pid})`);
    });

    it("occupies no server connection while it waits", async () => {
      const world = await createPooledWorld();
      const other = await world.connect(world.pooled.databaseUrl);
      await other.query(`BEGIN; SELECT pg_advisory_xact_lock(${LOCK_ID})`);
      const databases = Array.from({ length: 4 }, () => world.openDatabase());
      const migrating = Promise.all(databases.map((database) => database.migrate()));
      // One of two server connections is taken; the waiting processes must not occupy the other one.
      for (let query = 0; query < 20; query += 1) await world.openDatabase().ping();
      await other.query("COMMIT");
      expect((await migrating).flat()).toEqual(ALL_MIGRATIONS);
    });
  });

  it("continues after an earlier version, which ignores its lock, has migrated meanwhile", async () => {
    const world = await createPooledWorld();
    const old = await world.connect(world.pooled.databaseUrl);
    const first = ALL_MIGRATIONS[0] ?? "";
    const [up = ""] = (await readFile(`src/postgres/migrations/${first}.sql`, "utf8")).split(
      "-- Down Migration",
    );
    await old.query(`BEGIN; ${up};
      CREATE TABLE retrigger_migrations (id SERIAL PRIMARY KEY, name VARCHAR(255) NOT NULL, run_on TIMESTAMP NOT NULL);
      INSERT INTO retrigger_migrations (name, run_on) VALUES ('${first}', now())`);
    const migrating = world.openDatabase().migrate();
    await until("the new version waits for the old one", async () => {
      const waiting = await world.sql(
        "SELECT FROM pg_locks WHERE NOT granted AND locktype = 'transactionid'",
      );
      return waiting.length > 0;
    });
    await old.query("COMMIT");
    expect(await migrating).toEqual(ALL_MIGRATIONS.slice(1));
  });

  describe("the lock that an earlier version left on a pooled connection", () => {
    it("is released by a migration that gets the same connection", async () => {
      const world = await createPooledWorld();
      const old = await world.connect(world.pooled.databaseUrl);
      // Twice: a session lock counts, and two old processes took it.
      await old.query(`SELECT pg_advisory_lock(${LOCK_ID}), pg_advisory_lock(${LOCK_ID})`);
      await old.end();
      expect(await world.listAdvisoryLocks()).toHaveLength(1);
      // The only server connection of this pool is the one with the lock.
      expect(await world.openDatabase().migrate()).toEqual(ALL_MIGRATIONS);
      await until("the lock is gone", async () => (await world.listAdvisoryLocks()).length === 0);
    });

    it("makes a migration that gets another connection give up, with a message that names the cause", async () => {
      const world = await createPooledWorld();
      const old = await world.connect(world.config.databaseUrl);
      await old.query(`SELECT pg_advisory_lock(${LOCK_ID})`);
      const message = await failureOf(world.openDatabase().migrate({ limitMs: 1_000 }));
      expect(message).toContain("An earlier version of Retrigger left its lock on a pooled connection");
      const release = /SELECT pg_terminate_backend\(\d+\)/.exec(message)?.[0] ?? "no remedy";
      await world.sql(release);
      expect(await world.openDatabase().migrate()).toEqual(ALL_MIGRATIONS);
    });
  });
});

/** Waits until a migration has retried three times, half a second apart. */
async function untilThreeRetries({ sql }: PooledWorld): Promise<void> {
  const starts = new Set<number>();
  await until("several attempts", async () => {
    const rows = await sql<{ at: Date }>(
      "SELECT date_trunc('milliseconds', query_start) AS at FROM pg_stat_activity WHERE state = 'idle' AND application_name LIKE 'retrigger%'",
    );
    for (const { at } of rows) starts.add(at.getTime());
    return starts.size >= 4;
  });
}
