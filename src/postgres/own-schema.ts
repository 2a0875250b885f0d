import pg from "pg";
import { OWN_FUNCTIONS, OWN_TABLES } from "./own-tables.ts";

/** The schema of our tables, by pool; the connection's search path finds them if there is none. */
const schemas = new WeakMap<pg.Pool, string>();

export function setOwnSchema(pool: pg.Pool, schema: string): void {
  schemas.set(pool, schema);
}

export function ownSchemaOf(pool: pg.Pool): string | null {
  return schemas.get(pool) ?? null;
}

/** The name of a table of ours, for a parameter or the settings of a source: `retrigger.retraining_decisions`. */
export function nameOwnTable(schema: string | null, table: keyof typeof OWN_TABLES): string {
  return schema === null ? table : `${schema}.${table}`;
}

/**
 * A client that finds our tables in a schema. Their names are qualified in the text of each statement, because a pooler passes
 * neither startup options nor the state of a session on.
 */
export function createSchemaClient(schema: string): typeof pg.Client {
  const qualify = createQualifier(schema);
  return class extends pg.Client {
    override query(statement: unknown, ...rest: unknown[]): never {
      const query = super.query as (...args: unknown[]) => never;
      return query.call(this, qualifyStatement(statement, qualify), ...rest);
    }
  };
}

function qualifyStatement(statement: unknown, qualify: (sql: string) => string): unknown {
  if (typeof statement === "string") return qualify(statement);
  const { text } = statement as pg.QueryConfig;
  return typeof text === "string" ? { ...(statement as pg.QueryConfig), text: qualify(text) } : statement;
}

/** Texts, quoted identifiers and comments are skipped; so is a name that has a schema or a table before it. */
const NAMES = /'[^']*(?:''[^']*)*'|"[^"]*(?:""[^"]*)*"|--[^\n]*|(?<![\w$.])retr(?:aining|igger)_\w+/g;

const OWN_NAMES: ReadonlySet<string> = new Set([...Object.keys(OWN_TABLES), ...OWN_FUNCTIONS]);

/** Each counter has a function of its own. */
const isOwn = (name: string): boolean => OWN_NAMES.has(name) || /^retrigger_count_\d+$/.test(name);

const MOST_KEPT = 500;
const LONGEST_KEPT = 10_000;

/** Returns a function that puts the schema before the names of our tables in a statement of ours. */
export function createQualifier(schema: string): (sql: string) => string {
  const prefix = `${pg.escapeIdentifier(schema)}.`;
  // Most statements are constants.
  const known = new Map<string, string>();
  return (sql) => {
    const found = known.get(sql);
    if (found !== undefined) return found;
    const qualified = sql.replaceAll(NAMES, (name) => (isOwn(name) ? prefix + name : name));
    if (known.size >= MOST_KEPT) known.clear();
    if (sql.length <= LONGEST_KEPT) known.set(sql, qualified);
    return qualified;
  };
}
