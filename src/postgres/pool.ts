import pg from "pg";
import type { Logger } from "../process/logger.ts";
import { chooseClient, connectionOptions, listHosts } from "./connection.ts";
import { createSchemaClient, setOwnSchema } from "./own-schema.ts";

/** After this long without a response a connection is treated as dead, and the call is retried on another one. */
const QUERY_LIMIT_MS = 15_000;

export interface PoolOptions extends pg.PoolConfig {
  /** The schema of our tables. */
  schema?: string | undefined;
}

const CONNECT_LIMIT_MS = 5_000;

/** A pool of Postgres connections. It connects on first use; an idle connection that breaks is only logged. */
export function createPool(
  databaseUrl: string,
  log: Logger,
  { schema, ...options }: PoolOptions = {},
): pg.Pool {
  const pool = new pg.Pool({
    ...connectionOptions(databaseUrl),
    Client: chooseClient(databaseUrl, schema === undefined ? pg.Client : createSchemaClient(schema)),
    application_name: "retrigger",
    // Each of several hosts may have to be tried.
    connectionTimeoutMillis: CONNECT_LIMIT_MS * listHosts(databaseUrl).length,
    query_timeout: QUERY_LIMIT_MS,
    ...options,
  });
  if (schema !== undefined) setOwnSchema(pool, schema);
  // Without a listener, a connection that the server closes while idle would end the process.
  pool.on("error", (error) => log.debug({ err: error }, "an idle Postgres connection broke"));
  return pool;
}

/** A connection of its own, for work that may take longer than the pool's query limit. To be connected and ended by the caller. */
export function createClient(
  databaseUrl: string,
  { schema, ...options }: pg.ClientConfig & { schema?: string | undefined },
): pg.Client {
  const Client = chooseClient(databaseUrl, schema === undefined ? pg.Client : createSchemaClient(schema));
  const client = new Client({ ...connectionOptions(databaseUrl), ...options });
  // Without a listener, a broken connection would end the process. The query that needs it fails anyway.
  client.on("error", () => {});
  return client;
}

/**
 * Sends several statements as one message, on one connection, and returns their results: one round trip, and one
 * transaction unless the statements say otherwise. Such a message takes no parameters, so values are inlined as literals.
 *
 * @param build Called with the connection that the statements will be sent on.
 * @param limitMs After this long the client stops waiting, and closes the connection.
 */
export async function sendStatements(
  pool: pg.Pool,
  build: (client: pg.PoolClient) => readonly string[],
  limitMs = QUERY_LIMIT_MS,
): Promise<pg.QueryResult<Record<string, unknown>>[]> {
  const client = await pool.connect();
  // The pool listens only to idle clients. Without this listener, a connection that breaks now would end the process.
  const ignore = (): void => {};
  client.on("error", ignore);
  try {
    const query = { text: build(client).join(";\n"), query_timeout: limitMs };
    const results = (await client.query(query)) as unknown as pg.QueryResult<Record<string, unknown>>[];
    client.release();
    return results;
  } catch (error) {
    // The failed transaction may still be open, so the connection is closed with it.
    client.release(true);
    throw error;
  } finally {
    client.off("error", ignore);
  }
}
