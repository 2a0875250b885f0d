import { readdir } from "node:fs/promises";
import { basename } from "node:path";
import pg from "pg";
import { pino } from "pino";
import { afterAll, afterEach, beforeAll, inject } from "vitest";
import type { Config } from "../../src/config/config.ts";
import { createDatabase, type Database } from "../../src/postgres/database.ts";
import { createLogger, type Logger } from "../../src/process/logger.ts";
import { withDatabase } from "./database-url.ts";
import { PGBOUNCER, type PgBouncer, startPgBouncer } from "./pgbouncer.ts";
import { createWorld, type World, type WorldOptions } from "./world.ts";

/** Earlier versions took this lock for a session; later ones take it for a transaction. */
export const LOCK_ID = 7_283_401;
export const ALL_MIGRATIONS = (await readdir("src/postgres/migrations"))
  .map((file) => basename(file, ".sql"))
  .toSorted();
export const DAG_TABLE = `CREATE TABLE retraining_decisions (id SERIAL PRIMARY KEY, decision_date TIMESTAMP, decision VARCHAR(20),
  reason TEXT, buffer_size INTEGER, drift_score FLOAT, notes TEXT)`;

/** A world with a pooler in front of its database. */
export interface PooledWorld extends World {
  /** The config of a process that connects through the pooler. */
  pooled: Config;
  openDatabase(log?: Logger): Database;
  /** Connects directly or through the pooler, until the test ends. */
  connect(databaseUrl: string): Promise<pg.Client>;
  listAdvisoryLocks(): Promise<{ pid: number }[]>;
}

/** Starts a pooler for the tests of a file, and closes everything that a test opened after it. */
export function usePooler() {
  let pooler: PgBouncer;
  const opened: { close(): Promise<unknown> }[] = [];
  const worlds: World[] = [];

  if (PGBOUNCER === undefined) console.warn("PgBouncer is not installed: its tests are skipped.");
  beforeAll(async () => {
    pooler = await startPgBouncer(inject("databaseUrl"));
  });
  afterAll(() => pooler?.stop());
  afterEach(closeAll);

  async function closeAll(): Promise<void> {
    await Promise.all(opened.splice(0).map((each) => each.close()));
    await Promise.all(worlds.splice(0).map((world) => world.close()));
  }

  async function createPooledWorld(options: WorldOptions = {}): Promise<PooledWorld> {
    const world = await createWorld({ isUnmigrated: true, ...options });
    worlds.push(world);
    const database = new URL(world.config.databaseUrl).pathname.slice(1);
    const pooled = { ...world.config, databaseUrl: withDatabase(pooler.url, database) };
    return {
      ...world,
      pooled,
      openDatabase(log = createLogger("silent")) {
        const database = createDatabase(pooled, log);
        opened.push(database);
        return database;
      },
      async connect(databaseUrl) {
        const client = new pg.Client({ connectionString: databaseUrl, application_name: "someone" });
        client.on("error", () => {});
        await client.connect();
        opened.push({ close: () => client.end() });
        return client;
      },
      listAdvisoryLocks: () =>
        world.sql<{ pid: number }>(
          `SELECT pid FROM pg_locks JOIN pg_database ON oid = database
           WHERE locktype = 'advisory' AND datname = current_database()`,
        ),
    };
  }

  return {
    createPooledWorld,
    closeAll,
    closeLater: (each: { close(): Promise<unknown> }) => void opened.push(each),
  };
}

/** Creates a logger at the service's default level that collects its lines. */
export function captureLog(): { log: Logger; lines: Record<string, unknown>[] } {
  const lines: Record<string, unknown>[] = [];
  const write = (line: string) => void lines.push(JSON.parse(line) as Record<string, unknown>);
  return { log: pino({ level: "info" }, { write }), lines };
}
