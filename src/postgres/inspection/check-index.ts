import pg from "pg";
import { describeConditions, valueOf, whereAll } from "../checks-sql.ts";
import { mayBeAfter } from "../column-sql.ts";
import { quoteTable } from "../source-columns.ts";
import type { SourceTable } from "../source-tables.ts";
import type { CatalogTable } from "./catalog.ts";
import { LITERALS, queryWithin } from "./limited.ts";

/** The index that serves the query for the checks of some time, or the statement that creates one; null for a view. */
export type CheckIndex = { kind: "used"; name: string } | { kind: "missing"; create: string | null };

/** Finds the index that can serve the check query. Null if none could: the times are texts, or the table is elsewhere. */
export async function findCheckIndex(
  table: SourceTable<string>,
  catalog: CatalogTable,
  { pool, limitMs }: { pool: pg.Pool; limitMs: number },
): Promise<CheckIndex | null> {
  const checkedAt = table.columns["checkedAt"];
  const time = valueOf(checkedAt);
  if (!checkedAt || time === null || catalog.kind === "foreign") return null;
  const condition = mayBeAfter(time, "(now() - interval '7 days')");
  if (condition === null) return null;
  const fixed = table.where.map(({ column }) => column.name);
  const serving = catalog.indexes.find(({ columns }) => {
    const at = columns.indexOf(checkedAt.name);
    return at !== -1 && columns.slice(0, at).every((name) => fixed.includes(name));
  });
  if (serving) return { kind: "used", name: serving.name };
  const text = `EXPLAIN (FORMAT JSON) SELECT FROM ${quoteTable(table.table)} AS source
    ${whereAll([condition, ...describeConditions(table, LITERALS)])}`;
  const planned = limitMs === 0 ? null : await findPlannedIndex(pool, limitMs, text);
  if (planned !== null) return { kind: "used", name: planned };
  const create = catalog.kind === "view" ? null : describeIndex(catalog, [...fixed, checkedAt.name]);
  return { kind: "missing", create };
}

interface PlanNode {
  "Index Name"?: string;
  "Index Cond"?: string;
  Plans?: PlanNode[];
}

/** The index of a plan that avoids reading all rows: below a view, or one that covers only some rows. */
async function findPlannedIndex(pool: pg.Pool, limitMs: number, text: string): Promise<string | null> {
  try {
    const [row] = await queryWithin<{ "QUERY PLAN": { Plan: PlanNode }[] }>(pool, limitMs, text, {
      enable_seqscan: "off",
    });
    const find = (node: PlanNode): string | null =>
      node["Index Name"] !== undefined && node["Index Cond"] !== undefined
        ? node["Index Name"]
        : ((node.Plans ?? []).map(find).find((name) => name !== null) ?? null);
    const plan = row?.["QUERY PLAN"][0]?.Plan;
    return plan ? find(plan) : null;
  } catch {
    // What is wrong with the table is reported where its rows are counted.
    return null;
  }
}

function describeIndex({ schema, relation, kind }: CatalogTable, columns: readonly string[]): string {
  const list = [...new Set(columns)].map((name) => pg.escapeIdentifier(name)).join(", ");
  // A partitioned table has no index that is built concurrently.
  const how = kind === "partitioned" ? "" : " CONCURRENTLY";
  return `CREATE INDEX${how} ON ${pg.escapeIdentifier(schema)}.${pg.escapeIdentifier(relation)} (${list})`;
}
