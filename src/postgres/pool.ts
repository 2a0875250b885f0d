import pg from "pg";
import type { Logger } from "../logger.ts";

/** After so long a connection is taken for dead, and the call is tried again on another one. */
const QUERY_LIMIT_MS = 15_000;

/** A pool of Postgres connections. It connects when first used; an idle connection that breaks is only logged. */
export function createPool(databaseUrl: string, log: Logger): pg.Pool {
  const pool = new pg.Pool({
    connectionString: databaseUrl,
    application_name: "retrigger",
    max: 10,
    connectionTimeoutMillis: 5_000,
    query_timeout: QUERY_LIMIT_MS,
    keepAlive: true,
  });
  // Without a listener, a connection that the server closes while idle would end the process.
  pool.on("error", (error) => log.debug({ err: error }, "an idle Postgres connection broke"));
  return pool;
}
