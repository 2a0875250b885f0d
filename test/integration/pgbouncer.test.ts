import { once } from "node:events";
import { readdir, readFile } from "node:fs/promises";
import { basename } from "node:path";
import pg from "pg";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, describe, expect, inject, it } from "vitest";
import { INBOX_JOBS } from "../../queues/names.ts";
import type { Config } from "../../src/config/config.ts";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createLogger, type Logger } from "../../src/process/logger.ts";
import { createClient } from "../../src/use-cases/client.ts";
import { PGBOUNCER, type PgBouncer, startPgBouncer } from "../support/pgbouncer.ts";
import { runOurs, spawnOurs } from "../support/process.ts";
import { addCheck, addRatings, createWorld, failureOf, holdTable, until, type World } from "../support/world.ts";

/** Earlier versions took this lock for a session, later ones take it for a transaction. */
const LOCK_ID = 7_283_401;
const ALL_MIGRATIONS = (await readdir("src/postgres/migrations"))
  .map((file) => basename(file, ".sql"))
  .toSorted();
const DAG_TABLE = `CREATE TABLE retraining_decisions (id SERIAL PRIMARY KEY, decision_date TIMESTAMP, decision VARCHAR(20),
  reason TEXT, buffer_size INTEGER, drift_score FLOAT, notes TEXT)`;

if (PGBOUNCER === undefined) console.warn("PgBouncer is not installed: its tests are skipped.");

describe.skipIf(PGBOUNCER === undefined)("behind PgBouncer in transaction mode", () => {
  let pooler: PgBouncer;
  let world: World;
  const opened: { close(): Promise<unknown> }[] = [];

  beforeAll(async () => {
    pooler = await startPgBouncer(inject("databaseUrl"));
  });
  afterAll(() => pooler?.stop());
  afterEach(async () => {
    await Promise.all(opened.splice(0).map((each) => each.close()));
    await world.close();
  });

  /** The world's settings for a process that knows only the pooler. */
  function pooled(): Config {
    const url = new URL(pooler.url);
    url.pathname = new URL(world.config.databaseUrl).pathname;
    return { ...world.config, databaseUrl: url.href };
  }

  function openDatabase(log: Logger = createLogger("silent"), config: Config = pooled()): Database {
    const database = createDatabase(config, log);
    opened.push(database);
    return database;
  }

  async function connect(databaseUrl: string): Promise<pg.Client> {
    const client = new pg.Client({ connectionString: databaseUrl, application_name: "someone" });
    client.on("error", () => {});
    await client.connect();
    opened.push({ close: () => client.end() });
    return client;
  }

  const advisoryLocks = () =>
    world.sql<{ pid: number }>(
      `SELECT pid FROM pg_locks JOIN pg_database ON oid = database
       WHERE locktype = 'advisory' AND datname = current_database()`,
    );

  /** Waits until a migration has tried again three times, half a second apart. */
  async function untilItTriedAgain(): Promise<void> {
    const starts = new Set<number>();
    await until("several attempts", async () => {
      const rows = await world.sql<{ at: Date }>(
        "SELECT date_trunc('milliseconds', query_start) AS at FROM pg_stat_activity WHERE state = 'idle' AND application_name LIKE 'retrigger%'",
      );
      for (const { at } of rows) starts.add(at.getTime());
      return starts.size >= 4;
    });
  }

  describe("a first start", () => {
    it("lets several processes start at once: all come up, one migrates, nothing stays locked", async () => {
      for (let round = 0; round < 5; round += 1) {
        world = await createWorld();
        const databases = Array.from({ length: 4 }, () => openDatabase());
        const done = await Promise.all(databases.map((database) => database.migrate()));
        expect(done.flat()).toEqual(ALL_MIGRATIONS);
        expect(await advisoryLocks()).toEqual([]);
        await Promise.all(opened.splice(0).map((each) => each.close()));
        if (round < 4) await world.close();
      }
    });

    it("leaves nothing behind that would make the next migration hang", async () => {
      world = await createWorld();
      expect(await openDatabase().migrate()).toEqual(ALL_MIGRATIONS);
      expect(await advisoryLocks()).toEqual([]);
      // As if a newer version brought the last migrations.
      await world.sql(
        "DROP TABLE retraining_decisions, retraining_dispatches, retraining_events, retrigger_migrations CASCADE",
      );
      // Two transactions at once: the next migration may get either server connection.
      const clients = await Promise.all([connect(pooled().databaseUrl), connect(pooled().databaseUrl)]);
      await Promise.all(clients.map((client) => client.query("SELECT pg_sleep(0.05)")));
      expect(await openDatabase().migrate()).toEqual(ALL_MIGRATIONS);
    });
  });

  describe("a process that finds another one migrating", () => {
    it("logs it once, with who holds the lock and what to do, and goes on when the other is done", async () => {
      world = await createWorld();
      const other = await connect(world.config.databaseUrl);
      await other.query(`BEGIN; SELECT pg_advisory_xact_lock(${LOCK_ID})`);
      const { log, lines } = captureLog();
      const waits: string[] = [];
      const migrating = openDatabase(log).migrate({ onWait: (text) => waits.push(text) });
      await until("the wait is logged", async () => lines.length > 0);
      await untilItTriedAgain();
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

    it("gives up after the limit, with who holds the lock and what to do", async () => {
      world = await createWorld();
      const other = await connect(world.config.databaseUrl);
      await other.query(`BEGIN; SELECT pg_advisory_xact_lock(${LOCK_ID})`);
      const [{ pid } = { pid: 0 }] = (await other.query<{ pid: number }>("SELECT pg_backend_pid() AS pid"))
        .rows;
      const migrating = openDatabase().migrate({ limitMs: 1_000 });
      const message = await failureOf(migrating);
      await expect(migrating).rejects.toMatchObject({ name: "PermanentError", code: "MIGRATION_LOCKED" });
      expect(message).toContain(`pid ${pid}, application someone`);
      expect(message).toMatch(/since \d{4}-\d\d-\d\dT/);
      expect(message).toContain(`SELECT pg_terminate_backend(${pid})`);
    });

    it("keeps no server connection from others while it waits", async () => {
      world = await createWorld();
      const other = await connect(pooled().databaseUrl);
      await other.query(`BEGIN; SELECT pg_advisory_xact_lock(${LOCK_ID})`);
      const databases = Array.from({ length: 4 }, () => openDatabase());
      const migrating = Promise.all(databases.map((database) => database.migrate()));
      // One of two server connections is taken; those that wait must not keep the other one.
      for (let query = 0; query < 20; query += 1) await openDatabase().ping();
      await other.query("COMMIT");
      expect((await migrating).flat()).toEqual(ALL_MIGRATIONS);
    });
  });

  it("continues after an earlier version, which its lock does not keep out, has migrated meanwhile", async () => {
    world = await createWorld();
    const old = await connect(pooled().databaseUrl);
    const first = ALL_MIGRATIONS[0] ?? "";
    const [up = ""] = (await readFile(`src/postgres/migrations/${first}.sql`, "utf8")).split(
      "-- Down Migration",
    );
    await old.query(`BEGIN; ${up};
      CREATE TABLE retrigger_migrations (id SERIAL PRIMARY KEY, name VARCHAR(255) NOT NULL, run_on TIMESTAMP NOT NULL);
      INSERT INTO retrigger_migrations (name, run_on) VALUES ('${first}', now())`);
    const migrating = openDatabase().migrate();
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
    it("is released by a migration that is given that connection", async () => {
      world = await createWorld();
      const old = await connect(pooled().databaseUrl);
      // Twice: each of two old processes counted.
      await old.query(`SELECT pg_advisory_lock(${LOCK_ID}), pg_advisory_lock(${LOCK_ID})`);
      await old.end();
      expect(await advisoryLocks()).toHaveLength(1);
      // The only server connection of this pool is the one with the lock.
      expect(await openDatabase().migrate()).toEqual(ALL_MIGRATIONS);
      await until("the lock is gone", async () => (await advisoryLocks()).length === 0);
    });

    it("ends the wait of a migration that is given another one, with a message that says so", async () => {
      world = await createWorld();
      const old = await connect(world.config.databaseUrl);
      await old.query(`SELECT pg_advisory_lock(${LOCK_ID})`);
      const message = await failureOf(openDatabase().migrate({ limitMs: 1_000 }));
      expect(message).toContain("An earlier version of Retrigger left its lock on a pooled connection");
      const release = /SELECT pg_terminate_backend\(\d+\)/.exec(message)?.[0] ?? "no remedy";
      await world.sql(release);
      expect(await openDatabase().migrate()).toEqual(ALL_MIGRATIONS);
    });
  });

  describe("a migration that fails or is killed", () => {
    it("leaves neither a lock nor a partial migration when its process is killed", async () => {
      world = await createWorld();
      await world.sql(DAG_TABLE);
      const hold = await holdTable(world, "retraining_decisions");
      const settings = { ...world.settings, DATABASE_URL: pooled().databaseUrl };
      const child = spawnOurs("src/cli.ts", ["migrate"], settings);
      await hold.untilSomeoneWaits();
      expect(await advisoryLocks()).toHaveLength(1);
      child.kill("SIGKILL");
      await once(child, "exit");
      await until("the lock is gone", async () => (await advisoryLocks()).length === 0);
      await hold.release();
      expect(await world.sql("SELECT to_regclass('retrigger_migrations') AS name")).toEqual([{ name: null }]);
      const { code, stdout } = await runOurs("src/cli.ts", ["migrate"], settings);
      expect({ code, stdout }).toEqual({ code: 0, stdout: `Migrated: ${ALL_MIGRATIONS.join(", ")}\n` });
    });

    it("rolls back as a whole when a step fails, and says that nothing was changed", async () => {
      world = await createWorld();
      await world.sql(
        "CREATE TABLE in_the_way (id INTEGER); CREATE INDEX retraining_events_received ON in_the_way (id)",
      );
      const message = await failureOf(openDatabase().migrate());
      expect(message).toContain('relation "retraining_events_received" already exists');
      expect(message).toContain("Nothing was changed");
      const tables = await world.sql("SELECT FROM pg_class WHERE relname ~ '^retr' AND relkind = 'r'");
      expect(tables).toEqual([]);
      expect(await advisoryLocks()).toEqual([]);
      await world.sql("DROP TABLE in_the_way");
      expect(await openDatabase().migrate()).toEqual(ALL_MIGRATIONS);
    });

    it("lets readers pass while a long transaction locks a table, and names the session that it waits for", async () => {
      world = await createWorld();
      await world.sql(DAG_TABLE);
      const reader = await connect(world.config.databaseUrl);
      await reader.query("BEGIN; SELECT FROM retraining_decisions");
      const { log, lines } = captureLog();
      const migrating = openDatabase(log).migrate();
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

  describe("the service", () => {
    it("decides for several models at once, over and over, on two server connections", async () => {
      world = await createWorld({ settings: { MIN_BUFFER_SIZE: "1" } });
      const policy = [...world.config.models.values()].at(0);
      if (!policy) throw new Error("there is no model");
      const names = ["default", "ranking", "search", "spam"];
      const config = { ...pooled(), models: new Map(names.map((name) => [name, policy])) };
      await addCheck(world);
      await addRatings(world, 3);
      await world.startApp(config);
      const client = createClient(config, createLogger("silent"));
      opened.push(client);

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
      expect(await advisoryLocks()).toEqual([]);
    });
  });
});

/** A logger, and what it wrote at the service's default level. */
function captureLog(): { log: Logger; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>);
  return { log: pino({ level: "info" }, { write }), lines };
}
