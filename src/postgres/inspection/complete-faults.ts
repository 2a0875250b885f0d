import pg from "pg";
import type { SourceFault, SourcePart, SourceTable } from "../source-tables.ts";
import type { Catalog, CatalogTable } from "./catalog.ts";

interface FaultContext {
  model: string;
  part: SourcePart;
  table: SourceTable<string>;
  /** Null if it does not exist. */
  own: CatalogTable | null;
  catalog: Catalog;
}

/** Adds what only the catalog tells: the statements that grant a right, and the name that is most likely meant. */
export function completeFaults(
  faults: readonly SourceFault[],
  { model, part, table, own, catalog }: FaultContext,
): SourceFault[] {
  const place = `models.${model}.source.${part}.table`;
  const completed = faults.map((fault) => {
    const similar = fault.code === "MISSING_TABLE" ? catalog.findSimilar(table.table) : undefined;
    if (similar !== undefined) return { ...fault, remedy: `Did you mean ${similar}? ${fault.remedy}` };
    return fault.code === "NO_PRIVILEGE" && own
      ? { ...fault, remedy: describeGrants(own, catalog.role) }
      : fault;
  });
  if (!own || own.isSchemaUsable || completed.some(({ code }) => code === "NO_PRIVILEGE")) return completed;
  const message = `${place}: permission denied for schema ${own.schema}: this user may not use it`;
  return [...completed, { code: "NO_PRIVILEGE", message, remedy: describeGrants(own, catalog.role) }];
}

/** The statements that let a role read a table. */
function describeGrants({ schema, relation }: CatalogTable, role: string): string {
  const [namespace, table, grantee] = [schema, relation, role].map((name) => pg.escapeIdentifier(name));
  return `GRANT USAGE ON SCHEMA ${namespace} TO ${grantee}; GRANT SELECT ON ${namespace}.${table} TO ${grantee};`;
}
