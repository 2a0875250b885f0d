import { createHash } from "node:crypto";
import pg from "pg";
import { hasCode } from "./explain-error.ts";
import { ownSchemaOf } from "./own-schema.ts";
import { sendStatements } from "./pool.ts";

/**
 * Planning most of our statements takes longer than running them, so each is prepared once per connection. Behind a
 * transaction pooler (PgBouncer before 1.21) a prepared statement may be on another server connection. Then nothing was
 * executed: the statement is sent again as plain text, and from then on nothing is prepared on that pool.
 */
export async function queryPrepared<Row extends pg.QueryResultRow>(
  pool: pg.Pool,
  text: string,
  values: readonly unknown[],
): Promise<pg.QueryResult<Row>> {
  const config = { text, values: [...values] };
  const name = nameOf(pool, text);
  if (name === null) return pool.query<Row>(config);
  try {
    return await pool.query<Row>({ ...config, name });
  } catch (error) {
    if (!isMissingStatement(error)) throw error;
    unprepared.add(pool);
    return pool.query<Row>(config);
  }
}

// Each prepared statement takes server memory on each connection, and each model with its own tables needs its own.
const MAX_STATEMENTS = 40;

const namesOf = new WeakMap<pg.Pool, Map<string, string>>();

/** Pools behind a pooler that loses prepared statements. */
const unprepared = new WeakSet<pg.Pool>();

/** The name under which a statement is prepared, which depends only on its text and our schema; null if it must not be prepared. */
function nameOf(pool: pg.Pool, text: string): string | null {
  if (unprepared.has(pool)) return null;
  const names = namesOf.get(pool) ?? new Map<string, string>();
  namesOf.set(pool, names);
  const known = names.get(text);
  if (known !== undefined || names.size >= MAX_STATEMENTS) return known ?? null;
  // Others may prepare the same text for their schema on the same server connection.
  const key = `${ownSchemaOf(pool) ?? ""}${text}`;
  const name = `retrigger_${createHash("sha256").update(key).digest("hex").slice(0, 16)}`;
  names.set(text, name);
  return name;
}

/**
 * 26000: the statement does not exist on this server connection; 42P05: another client has prepared it there; 0A000: a table
 * whose columns it returns was altered.
 */
function isMissingStatement(error: unknown): boolean {
  return (
    hasCode(error, ["26000", "42P05"]) ||
    (hasCode(error, ["0A000"]) && error.message.startsWith("cached plan"))
  );
}

/** A value, and the type for which the statement is prepared. */
export interface Parameter {
  value: string | number;
  type: "text" | "integer";
}

/**
 * Runs one statement that only reads, under a time limit that the server enforces, prepared if possible, in one round trip and one snapshot.
 * The limit applies to this message only, so it does not affect others that share the connection.
 *
 * @param limitMs After this long the server cancels the statement; the client waits a little longer.
 */
export async function sendPrepared(
  pool: pg.Pool,
  text: string,
  parameters: readonly Parameter[],
  limitMs: number,
): Promise<pg.QueryResult<Record<string, unknown>>> {
  const name = nameOf(pool, text);
  const settings = `SELECT set_config('statement_timeout', '${limitMs}', true), set_config('plan_cache_mode', 'force_generic_plan', true), set_config('transaction_read_only', 'on', true)`;
  const send = async (statements: (client: pg.PoolClient) => string[]) => {
    const results = await sendStatements(pool, statements, limitMs + 5_000);
    return results.at(-1) as pg.QueryResult<Record<string, unknown>>;
  };
  const plain = () => send(() => [settings, inline(text, parameters)]);
  if (name === null) return plain();
  try {
    return await send((client) => {
      const execution = `EXECUTE ${name} (${parameters.map(toLiteral).join(", ")})`;
      const types = parameters.map(({ type }) => type).join(", ");
      return markPrepared(client, name)
        ? [settings, execution]
        : [settings, `PREPARE ${name} (${types}) AS ${text}`, execution];
    });
  } catch (error) {
    if (!isMissingStatement(error)) throw error;
    unprepared.add(pool);
    return plain();
  }
}

const preparedOn = new WeakMap<pg.PoolClient, Set<string>>();

/** Returns whether a statement is prepared on a connection, and marks it so. (If preparing fails, the connection is closed.) */
function markPrepared(client: pg.PoolClient, name: string): boolean {
  const names = preparedOn.get(client) ?? new Set();
  preparedOn.set(client, names);
  const isPrepared = names.has(name);
  names.add(name);
  return isPrepared;
}

function toLiteral({ value }: Parameter): string {
  return typeof value === "number" ? String(value) : pg.escapeLiteral(value);
}

/** The statement with its parameters as literals, for when it cannot be prepared. */
function inline(text: string, parameters: readonly Parameter[]): string {
  return text.replaceAll(/\$(\d+)/g, (_, position: string) => {
    const parameter = parameters[Number(position) - 1];
    if (!parameter) throw new Error(`the statement has no parameter ${position}`);
    return `${toLiteral(parameter)}::${parameter.type}`;
  });
}
