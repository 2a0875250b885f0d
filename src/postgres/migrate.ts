import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import pg, { type Pool } from "pg";
import { messageOf, PermanentError } from "../core/errors.ts";
import type { Logger } from "../process/logger.ts";
import { createClient } from "./pool.ts";
import { databaseAddress, hasCode, INSUFFICIENT_PRIVILEGE } from "./explain-error.ts";
import { nameOwnTable, ownSchemaOf } from "./own-schema.ts";
import { createMigrationWait, type MigrationBlocker, tryMigrationLock } from "./migration-lock.ts";

const MIGRATIONS_DIR = fileURLToPath(new URL("migrations", import.meta.url));
const MIGRATIONS_TABLE = "retrigger_migrations";

const WAIT_LIMIT_MS = 5 * 60_000;
const CONNECT_LIMIT_MS = 5_000;
/** Queries queue behind a statement that waits for a table lock, so it gives up soon and tries again. */
const TABLE_LOCK_LIMIT_MS = 2_000;
/** A process that is suspended, or whose machine is lost, must not keep the lock. */
const IDLE_LIMIT_MS = 60_000;

/** SQLSTATE: the lock timeout passed; a deadlock was broken. */
const TABLE_IN_USE = ["55P03", "40P01"];
/** SQLSTATE: a table, column or other object of that name exists, or a function that cannot be replaced. */
const DUPLICATE_NAME = ["42P07", "42701", "42710", "42P13"];
/** SQLSTATE: the same collision if the other transaction commits while ours waits for it. */
const UNIQUE_VIOLATION = "23505";

export interface MigrateOptions {
  /** How long to wait for another process, or for a transaction that locks a table. Five minutes by default. */
  limitMs?: number;
  /** Called when a wait begins, in addition to the log, with the reason and what to do. */
  onWait?: (text: string) => void;
}

/**
 * Brings our tables up to date, starting from nothing or, without a schema of our own, from the DAG's table. All pending migrations and the lock that
 * keeps other processes out share one transaction: they commit or roll back as a whole, and neither a pooler nor a crash can
 * leave the lock behind. Returns the names of the migrations that this call ran, in order.
 *
 * @throws PermanentError `MIGRATION_LOCKED` after `limitMs`, naming the session that holds the lock and what to do.
 */
export async function migrate(
  pool: Pool,
  databaseUrl: string,
  log: Logger,
  { limitMs = WAIT_LIMIT_MS, onWait = () => {} }: MigrateOptions = {},
): Promise<string[]> {
  // Usually there is nothing to do: then neither the lock nor the migration library is needed.
  let pending = await findPendingMigrations(pool);
  if (pending.length === 0) return [];
  // A separate connection, because a migration may take longer than the pool's query limit.
  const client = createClient(databaseUrl, {
    application_name: "retrigger migrate",
    connectionTimeoutMillis: CONNECT_LIMIT_MS,
    // The operating system notices a server that disappeared without closing the connection.
    keepAliveInitialDelayMillis: 10_000,
  });
  const schema = ownSchemaOf(pool);
  const others = await findOtherInstallations(pool);
  if (others !== null) {
    log.warn(others);
    onWait(others);
  }
  const wait = createMigrationWait({ client, address: databaseAddress(databaseUrl), limitMs, log, onWait });
  try {
    await client.connect();
    while (pending.length > 0) {
      const attempt = await attemptMigration(client, schema, log);
      if (attempt.kind === "migrated") return attempt.names;
      if (attempt.kind === "blocked") await wait(attempt.blocker);
      const left = await findPendingMigrations(pool);
      // Behind a pooler the lock of an earlier version is unreliable, so that version may have migrated at the same time.
      const isOvertaken = left.length < pending.length;
      if (attempt.kind === "collided" && !isOvertaken) throw attempt.error;
      pending = left;
    }
    return [];
  } catch (error) {
    throw await explainMigrationError(error, { client, databaseUrl, schema });
  } finally {
    await client.end();
  }
}

/** The names of the migrations that have not run yet. Only reads. */
export async function findPendingMigrations(pool: Pool): Promise<string[]> {
  const known = (await readdir(MIGRATIONS_DIR)).map((file) => basename(file, ".sql")).toSorted();
  const table = nameOwnTable(ownSchemaOf(pool), MIGRATIONS_TABLE);
  const { rows: found } = await pool.query("SELECT 1 WHERE to_regclass($1) IS NOT NULL", [table]);
  if (found.length === 0) return known;
  const { rows } = await pool.query<{ name: string }>(`SELECT name FROM ${MIGRATIONS_TABLE}`);
  return known.filter((name) => !rows.some((row) => row.name === name));
}

/** Says that there are no tables of ours yet, but that another schema has some; null otherwise. Only reads. */
async function findOtherInstallations(pool: Pool): Promise<string | null> {
  const schema = ownSchemaOf(pool);
  const { rows } = await pool.query<{ schema: string }>(
    `SELECT nspname AS schema FROM pg_class JOIN pg_namespace ON pg_namespace.oid = relnamespace
     WHERE relname = '${MIGRATIONS_TABLE}' AND to_regclass($1) IS NULL ORDER BY 1`,
    [nameOwnTable(schema, MIGRATIONS_TABLE)],
  );
  if (rows.length === 0) return null;
  const found = rows.map((row) => row.schema).join(", ");
  return `Creating Retrigger's tables in ${schema === null ? "the search path" : `schema ${schema}`}, although there are some in ${found}: decisions recorded there are unknown here. If that is not meant, correct RETRIGGER_SCHEMA`;
}

type Attempt =
  | { kind: "migrated"; names: string[] }
  | { kind: "blocked"; blocker: MigrationBlocker }
  /** An object that a migration creates already exists. */
  | { kind: "collided"; error: unknown };

/**
 * Runs one transaction, and always ends it. It does not wait for the lock, because a waiting transaction would occupy one of
 * the pooler's connections.
 */
async function attemptMigration(client: pg.Client, schema: string | null, log: Logger): Promise<Attempt> {
  let isCommitted = false;
  try {
    await client.query(
      `BEGIN; SET LOCAL lock_timeout = ${TABLE_LOCK_LIMIT_MS}; SET LOCAL idle_in_transaction_session_timeout = ${IDLE_LIMIT_MS}; SET LOCAL statement_timeout = 0`,
    );
    if (!(await tryMigrationLock(client))) return { kind: "blocked", blocker: "process" };
    if (schema !== null) await enterSchema(client, schema);
    await refuseForeignFunctions(client);
    const names = await runPendingMigrations(client, schema, log);
    await client.query("COMMIT");
    isCommitted = true;
    return { kind: "migrated", names };
  } catch (error) {
    if (hasCode(error, TABLE_IN_USE)) return { kind: "blocked", blocker: "table" };
    if (hasCode(error, [...DUPLICATE_NAME, UNIQUE_VIOLATION])) return { kind: "collided", error };
    throw error;
  } finally {
    // If the connection is broken, the server rolls back.
    if (!isCommitted) await client.query("ROLLBACK").catch(() => {});
  }
}

/** Lets the transaction create everything in a schema, which it creates if there is none. */
async function enterSchema(client: pg.Client, schema: string): Promise<void> {
  const name = pg.escapeIdentifier(schema);
  const { rows } = await client.query("SELECT FROM pg_namespace WHERE nspname = $1", [schema]);
  if (rows.length === 0) await client.query(`CREATE SCHEMA ${name}`);
  await client.query(`SET LOCAL search_path = ${name}, pg_temp`);
}

/**
 * Refuses functions of our names that belong to another role, which could change what they do later: they run with the rights of
 * whoever calls them. A superuser has these rights anyway.
 */
async function refuseForeignFunctions(client: pg.Client): Promise<void> {
  const { rows } = await client.query<{ name: string; owner: string }>(
    `SELECT proname AS name, owner.rolname AS owner FROM pg_proc JOIN pg_roles AS owner ON owner.oid = proowner
     JOIN pg_roles AS own ON own.rolname = current_user
     WHERE pronamespace = (SELECT oid FROM pg_namespace WHERE nspname = current_schema()) AND proname = ANY ($1)
       AND owner.oid <> own.oid AND NOT owner.rolsuper AND (own.rolsuper OR NOT pg_has_role(owner.oid, 'USAGE'))
     ORDER BY 1 LIMIT 1`,
    [await listFunctions()],
  );
  const [found] = rows;
  if (found)
    throw new PermanentError(
      "NAME_TAKEN",
      `Cannot migrate: the function ${found.name} belongs to ${found.owner}. Nothing was changed. If ${found.owner} owns Retrigger's tables, migrate as ${found.owner}; otherwise Retrigger did not create it: rename or drop it, then run npx retrigger migrate`,
    );
}

/** The functions that the migrations create. */
async function listFunctions(): Promise<string[]> {
  const files = await readdir(MIGRATIONS_DIR);
  const texts = await Promise.all(files.map((file) => readFile(join(MIGRATIONS_DIR, file), "utf8")));
  return texts.flatMap((text) =>
    [...text.matchAll(/FUNCTION (retrigger_\w+)/g)].flatMap(([, name = ""]) => name),
  );
}

/** Runs the pending migrations in the client's transaction. */
async function runPendingMigrations(
  client: pg.Client,
  schema: string | null,
  log: Logger,
): Promise<string[]> {
  // Our migrations are SQL; the loader for migrations in TypeScript would leave a directory in /tmp.
  process.env["JITI_FS_CACHE"] ??= "false";
  const { runner } = await import("node-pg-migrate");
  const debug = (text: string): void => log.debug(text);
  let failure: unknown;
  // The runner uses only this part of a client.
  const dbClient = {
    query(text: string, values?: unknown[]) {
      // The runner's own COMMIT would end our transaction, and with it the lock.
      if (/^(BEGIN|COMMIT|ROLLBACK);?$/.test(text)) return Promise.resolve({ rows: [], rowCount: null });
      return client.query(text, values).catch((error: unknown) => {
        failure ??= error;
        throw error;
      });
    },
  };
  try {
    const done = await runner({
      dbClient: dbClient as unknown as pg.ClientBase,
      dir: MIGRATIONS_DIR,
      migrationsTable: MIGRATIONS_TABLE,
      ...(schema !== null && { migrationsSchema: schema }),
      direction: "up",
      // Otherwise each migration would send its own BEGIN and COMMIT.
      singleTransaction: true,
      noLock: true,
      logger: { debug, info: () => {}, warn: debug, error: debug },
    });
    return done.map(({ name }) => name);
  } catch (error) {
    // The runner replaces some errors by its own, which lack the code.
    throw failure ?? error;
  }
}

/** Explains errors that mean something else here than in a query of the service. */
async function explainMigrationError(
  error: unknown,
  { client, databaseUrl, schema }: { client: pg.Client; databaseUrl: string; schema: string | null },
): Promise<unknown> {
  const explained = (code: string, remedy: string): PermanentError =>
    new PermanentError(
      code,
      `Cannot migrate ${databaseAddress(databaseUrl)}: ${messageOf(error)}. Nothing was changed. ${remedy}`,
      { cause: error },
    );
  if (hasCode(error, DUPLICATE_NAME))
    return explained(
      "NAME_TAKEN",
      "Retrigger did not create the object of that name: rename or drop it, then run npx retrigger migrate",
    );
  if (!hasCode(error, [INSUFFICIENT_PRIVILEGE]) || error.message.includes("must be owner")) return error;
  const right = await describeRight(client, error.message, schema);
  return explained("NO_PRIVILEGE", `Run npx retrigger migrate once as a user who may create tables${right}`);
}

/** The statement that would let this role create our tables, if one would. */
async function describeRight(client: pg.Client, message: string, schema: string | null): Promise<string> {
  const [, kind = "", name = ""] = /^permission denied for (schema|database) (.+)$/.exec(message) ?? [];
  if (kind === "") return "";
  const { rows } = await client.query<{ role: string }>("SELECT current_user::text AS role");
  const role = pg.escapeIdentifier(rows[0]?.role ?? "");
  return kind === "schema"
    ? `, or let this one: GRANT USAGE, CREATE ON SCHEMA ${pg.escapeIdentifier(name)} TO ${role};`
    : `, or let this one: CREATE SCHEMA ${pg.escapeIdentifier(schema ?? "")} AUTHORIZATION ${role};`;
}
