import pg from "pg";
import { ownSchemaOf } from "./own-schema.ts";

/** How the values of a column are read. */
export type ColumnKind =
  "timestamptz" | "timestamp" | "date" | "integer" | "float" | "numeric" | "text" | "boolean" | "other";

/** A column of a source table. */
export interface TableColumn {
  name: string;
  kind: ColumnKind;
  /** The type as SQL, without a length: `character varying`. */
  type: string;
  isReadable: boolean;
  /** Its type is a domain; `kind` is that of the type which the domain restricts. */
  isDomain: boolean;
}

export type TableColumns = ReadonlyMap<string, TableColumn>;

/** Looks up the columns of tables and views, and remembers them. */
export interface ColumnCache {
  /** The schema of our own tables, which hold what is reported. */
  readonly ownSchema: string | null;
  /** The role that reads the tables; "this user" until one was looked up. */
  readonly role: string;
  /** Null if the table does not exist. */
  find(table: string): Promise<TableColumns | null>;
  forget(table: string): void;
}

export function createColumnCache(pool: pg.Pool): ColumnCache {
  const known = new Map<string, Promise<TableColumns | null>>();
  let role = "this user";

  async function lookUp(table: string): Promise<TableColumns | null> {
    const { rows } = await pool.query<ColumnRow & { role: string }>(
      `SELECT *, current_user::text AS role FROM (${selectColumns("to_regclass($1)")}) AS columns`,
      [quoteForCatalog(table)],
    );
    role = rows[0]?.role ?? role;
    return rows.length === 0 ? null : new Map(rows.map((row) => [row.name, toColumn(row)]));
  }

  return {
    ownSchema: ownSchemaOf(pool),
    get role() {
      return role;
    },
    find(table) {
      const found = known.get(table);
      if (found) return found;
      const lookup = lookUp(table);
      known.set(table, lookup);
      const forget = (): void => {
        if (known.get(table) === lookup) known.delete(table);
      };
      // It may exist by the next time.
      lookup.then((columns) => columns ?? forget(), forget);
      return lookup;
    },
    forget: (table) => known.delete(table),
  };
}

/** A column as the catalog has it. */
export interface ColumnRow extends Omit<TableColumn, "kind"> {
  baseType: string;
  category: string;
}

/**
 * The columns of a table as `ColumnRow`. A domain counts as the type that it restricts. With the modifier -1 the type has no
 * length, so casts do not truncate.
 *
 * @param table Its id, as SQL.
 */
export function selectColumns(table: string): string {
  return `
SELECT attname AS name, format_type(atttypid, -1) AS type,
  has_column_privilege(attrelid, attnum, 'SELECT') AS "isReadable", own.typbasetype <> 0 AS "isDomain",
  base.typname AS "baseType", base.typcategory AS category
FROM pg_attribute
JOIN pg_type AS own ON own.oid = atttypid
JOIN pg_type AS base ON base.oid = COALESCE(NULLIF(own.typbasetype, 0), own.oid)
WHERE attrelid = ${table} AND attnum > 0 AND NOT attisdropped`;
}

export function toColumn(row: ColumnRow): TableColumn {
  const { name, type, isReadable, isDomain } = row;
  return { name, type, isReadable, isDomain, kind: kindOf(row) };
}

function kindOf({ baseType, category }: ColumnRow): ColumnKind {
  switch (baseType) {
    case "timestamptz":
    case "timestamp":
    case "date":
    case "numeric":
      return baseType;
    case "int2":
    case "int4":
    case "int8":
      return "integer";
    case "float4":
    case "float8":
      return "float";
    case "bool":
      return "boolean";
    default:
      return category === "S" ? "text" : "other";
  }
}

/** A table name from the settings as quoted SQL identifiers, so that its case is kept. */
export function quoteTable(name: string): string {
  return quoteParts(name, quoteName);
}

/** The same as a value, for `to_regclass`. */
export function quoteForCatalog(name: string): string {
  return quoteParts(name, (part) => pg.escapeIdentifier(part));
}

function quoteParts(name: string, quote: (part: string) => string): string {
  return name.split(".").map(quote).join(".");
}

/** A quoted identifier. A dollar is escaped, because it could be taken for a parameter. */
export function quoteName(name: string): string {
  if (!name.includes("$")) return pg.escapeIdentifier(name);
  return `U&${pg.escapeIdentifier(name.replaceAll("\\", "\\\\").replaceAll("$", "\\0024"))}`;
}
