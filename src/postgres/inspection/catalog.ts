import type pg from "pg";
import { findNearest } from "../../core/nearest.ts";
import { ownSchemaOf } from "../own-schema.ts";
import {
  type ColumnCache,
  type ColumnRow,
  selectColumns,
  toColumn,
  type TableColumn,
} from "../source-columns.ts";

/** A table or view as the catalog has it. */
export interface CatalogTable {
  schema: string;
  relation: string;
  kind: "table" | "view" | "partitioned" | "foreign";
  columns: ReadonlyMap<string, TableColumn>;
  /** Whether the role may look into the schema. */
  isSchemaUsable: boolean;
  /** The planner's estimate of its rows; null if there is none. */
  estimatedRows: number | null;
  /** The B-tree indexes that cover all rows: their columns, as far as these are plain columns. */
  indexes: readonly { name: string; columns: readonly string[] }[];
}

/** What a database knows about tables, read once. */
export interface Catalog {
  /** The role that reads them. */
  role: string;
  /** By the name in the settings. */
  tables: ReadonlyMap<string, CatalogTable>;
  /** For looking up columns without asking the database again. */
  columns: ColumnCache;
  /** The existing table or view whose name is most like this one. */
  findSimilar(table: string): string | undefined;
}

/** Reads what the catalog has on tables and views, for any number of them with one statement. */
export async function readCatalog(pool: pg.Pool, names: readonly string[]): Promise<Catalog> {
  const { rows } = await pool.query<CatalogRow>(READ_TABLES, [[...new Set(names)]]);
  const tables = new Map(rows.map((row) => [row.name, toTable(row)]));
  const hasMissing = names.some((name) => !tables.has(name));
  const others = hasMissing ? (await pool.query<{ role: string; name: string }>(LIST_TABLES)).rows : [];
  const known = others.map(({ name }) => name);
  const similar = new Map<string, string | undefined>();
  const role = rows[0]?.role ?? others[0]?.role ?? "";
  return {
    role,
    tables,
    columns: {
      ownSchema: ownSchemaOf(pool),
      role,
      find: (table) => Promise.resolve(tables.get(table)?.columns ?? null),
      forget: () => false,
    },
    findSimilar(table) {
      if (!similar.has(table) && similar.size < MOST_COMPARED) similar.set(table, findNearest(table, known));
      return similar.get(table);
    },
  };
}

/** Comparing names with those of thousands of tables takes its time. */
const MOST_COMPARED = 20;

interface CatalogRow {
  role: string;
  name: string;
  schema: string;
  relation: string;
  kind: string;
  isSchemaUsable: boolean;
  estimatedRows: number;
  columns: ColumnRow[] | null;
  indexes: { name: string; columns: (string | null)[] }[] | null;
}

function toTable({ kind, columns, indexes, estimatedRows, ...row }: CatalogRow): CatalogTable {
  const kinds: Record<string, CatalogTable["kind"]> = { v: "view", p: "partitioned", f: "foreign" };
  return {
    ...row,
    kind: kinds[kind] ?? "table",
    columns: new Map((columns ?? []).map((column) => [column.name, toColumn(column)])),
    estimatedRows: estimatedRows < 0 ? null : estimatedRows,
    indexes: (indexes ?? []).map((index) => {
      const end = index.columns.indexOf(null);
      const plain = (end === -1 ? index.columns : index.columns.slice(0, end)) as string[];
      return { name: index.name, columns: plain };
    }),
  };
}

const IS_TABLE = "table_.relkind IN ('r', 'v', 'm', 'p', 'f')";

// Unlike to_regclass, this also finds tables in schemas that the role may not use.
const READ_TABLES = `
SELECT current_user::text AS role, wanted.name, nspname AS schema, relname AS relation, relkind::text AS kind,
  has_schema_privilege(namespace.oid, 'USAGE') AS "isSchemaUsable", reltuples::float8 AS "estimatedRows",
  (SELECT json_agg(listed) FROM (${selectColumns("table_.oid")} ORDER BY attnum) AS listed) AS columns,
  (SELECT json_agg(json_build_object('name', index_.relname, 'columns',
      (SELECT json_agg(attname ORDER BY position) FROM unnest(indkey) WITH ORDINALITY AS key (number, position)
        LEFT JOIN pg_attribute ON attrelid = indrelid AND attnum = key.number AND key.number > 0
        WHERE position <= indnkeyatts)) ORDER BY index_.relname)
    FROM pg_index JOIN pg_class AS index_ ON index_.oid = indexrelid
    JOIN pg_am ON pg_am.oid = index_.relam AND amname = 'btree'
    WHERE indrelid = table_.oid AND indisvalid AND indpred IS NULL) AS indexes
FROM (SELECT name, string_to_array(name, '.') AS parts FROM unnest($1::text[]) AS name) AS wanted
JOIN pg_class AS table_ ON relname = parts[cardinality(parts)] AND ${IS_TABLE}
JOIN pg_namespace AS namespace ON namespace.oid = relnamespace
WHERE CASE cardinality(parts) WHEN 1 THEN pg_table_is_visible(table_.oid) ELSE nspname = parts[1] END`;

const LIST_TABLES = `
SELECT current_user::text AS role, CASE WHEN pg_table_is_visible(table_.oid) THEN relname ELSE nspname || '.' || relname END AS name
FROM pg_class AS table_ JOIN pg_namespace AS namespace ON namespace.oid = relnamespace
WHERE ${IS_TABLE} AND nspname !~ '^pg_' AND nspname <> 'information_schema' AND NOT relispartition
ORDER BY 2 LIMIT 10000`;
