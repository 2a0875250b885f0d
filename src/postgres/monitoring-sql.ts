import { describeConditions, LATEST_TIME, valueOf, whereAll } from "./checks-sql.ts";
import { toInstant } from "./column-sql.ts";
import type { Parameters } from "./parameters.ts";
import { quoteTable } from "./source-columns.ts";
import type { ChecksTable } from "./source-tables.ts";
import { selectFirstDecision } from "./trainings-sql.ts";

/** The signs of drift monitoring, as JSON, and the first decision about the model, since when the first one is awaited. */
export function describeSigns(
  { model, newestCheck }: { model: string; newestCheck: string },
  toInstantOf: (column: string) => string,
): string {
  return `json_build_object(
    'lastSeenAt', GREATEST(${newestCheck},
      (SELECT received_at FROM retraining_events WHERE model = ${model} ORDER BY received_at DESC LIMIT 1)),
    'firstDecisionAt', ${selectFirstDecision(model, toInstantOf)})`;
}

/** The time of the newest drift check of any age, as SQL. */
export function selectNewestCheck(table: ChecksTable, zone: string, parameters: Parameters): string {
  const checkedAt = valueOf(table.columns.checkedAt);
  if (checkedAt === null) throw new Error(`${table.table} has no column with the time of a check`);
  const instant = toInstant(checkedAt, zone);
  // Ordered by the column itself, so that an index on it serves; texts do not sort as times do.
  const order = checkedAt.kind === "text" ? instant : checkedAt.sql;
  return `(SELECT ${instant} FROM ${quoteTable(table.table)} AS source
    ${whereAll([`${checkedAt.sql} IS NOT NULL`, `${instant} < ${LATEST_TIME}`, ...describeConditions(table, parameters)])}
    ORDER BY ${order} DESC LIMIT 1)`;
}
