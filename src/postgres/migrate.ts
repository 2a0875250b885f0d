import { readdir } from "node:fs/promises";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import pg, { type Pool } from "pg";
import type { Logger } from "../logger.ts";

const MIGRATIONS_DIR = fileURLToPath(new URL("migrations", import.meta.url));
const MIGRATIONS_TABLE = "retrigger_migrations";
// Any number will do, so long as every version of Retrigger takes the same.
const ADVISORY_LOCK = 7_283_401;

/**
 * Brings the tables that are ours up to date, from nothing or from the DAG's own. Processes that start together take
 * turns. Returns the names of the migrations that ran, in order.
 */
export async function migrate(pool: Pool, databaseUrl: string, log: Logger): Promise<string[]> {
  // The usual start finds nothing to do, and needs neither the lock nor the migration library in its memory.
  if ((await findPendingMigrations(pool)).length === 0) return [];
  // Our migrations are SQL; the loader of those in TypeScript would leave a directory in /tmp.
  process.env["JITI_FS_CACHE"] ??= "false";
  const { runner } = await import("node-pg-migrate");
  // A connection of its own: a migration may take longer than the pool's limit, and waits for its turn besides.
  const client = new pg.Client(databaseUrl);
  // Without a listener, a server that leaves would end the process; whoever waits for an answer is told as well.
  client.on("error", () => {});
  try {
    await client.connect();
    await client.query("SELECT pg_advisory_lock($1)", [ADVISORY_LOCK]);
    const logger = {
      debug: () => {},
      info: () => {},
      warn: (text: string) => log.warn(text),
      error: (text: string) => log.debug(text),
    };
    const done = await runner({
      dbClient: client,
      dir: MIGRATIONS_DIR,
      migrationsTable: MIGRATIONS_TABLE,
      direction: "up",
      // Our own lock waits for its turn, node-pg-migrate's gives up at once.
      noLock: true,
      logger,
    });
    return done.map(({ name }) => name);
  } finally {
    // Ends the session, and with it the advisory lock and whatever a failed migration left open.
    await client.end();
  }
}

/** The names of the migrations that have not run yet. Only reads. */
export async function findPendingMigrations(pool: Pool): Promise<string[]> {
  const known = (await readdir(MIGRATIONS_DIR)).map((file) => basename(file, ".sql")).toSorted();
  const { rows: found } = await pool.query("SELECT 1 WHERE to_regclass($1) IS NOT NULL", [MIGRATIONS_TABLE]);
  if (found.length === 0) return known;
  const { rows } = await pool.query<{ name: string }>(`SELECT name FROM ${MIGRATIONS_TABLE}`);
  return known.filter((name) => !rows.some((row) => row.name === name));
}
