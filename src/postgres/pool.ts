import pg from "pg";
import type { Logger } from "../logger.ts";

/** A pool of Postgres connections. It connects when first used; an idle connection that breaks is only logged. */
export function createPool(databaseUrl: string, log: Logger): pg.Pool {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    application_name: "retrigger",
    max: 10,
    connectionTimeoutMillis: 5_000,
    // A server that hangs must not hold a stage for ever; a count of ten million ratings takes some two seconds.
    query_timeout: 120_000,
    keepAlive: true,
  });
  // Without a listener, a connection that the server closes while idle would end the process.
  pool.on("error", (error) => log.warn({ err: error }, "an idle Postgres connection broke"));
  return pool;
}
