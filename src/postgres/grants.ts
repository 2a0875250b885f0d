import pg from "pg";
import { PermanentError } from "../core/errors.ts";
import { databaseAddress } from "./explain-error.ts";
import { ownSchemaOf } from "./own-schema.ts";
import { OWN_NAME, OWN_TABLES, SERVICE_FUNCTIONS } from "./own-tables.ts";

/** What the role of a pool may not do with our tables. */
export interface MissingGrants {
  role: string;
  grants: readonly MissingGrant[];
}

export interface MissingGrant {
  /** "retrigger.retraining_decisions", or the name of a schema, sequence or function. */
  object: string;
  rights: readonly string[];
  /** The statement that grants them. */
  sql: string;
}

/** Looks up which rights that the service needs are missing. Tables that do not exist yet are left out. */
export async function findMissingGrants(pool: pg.Pool): Promise<MissingGrants> {
  const { rows } = await pool.query<FoundObject>(FIND_MISSING, [
    JSON.stringify(OWN_TABLES),
    ownSchemaOf(pool),
    SERVICE_FUNCTIONS,
  ]);
  const role = rows[0]?.role ?? "";
  const grants = rows.flatMap(({ kind, schema, name, missing }): MissingGrant[] => {
    if (missing === null || missing.length === 0) return [];
    const path = name === null ? [schema ?? ""] : [schema ?? "", name];
    const object = path.map((part) => pg.escapeIdentifier(part)).join(".");
    const target = kind === "TABLE" ? object : `${kind} ${object}`;
    const sql = `GRANT ${missing.join(", ")} ON ${target} TO ${pg.escapeIdentifier(role)};`;
    return [{ object: path.join("."), rights: missing, sql }];
  });
  return { role, grants };
}

interface FoundObject {
  role: string;
  kind: "SCHEMA" | "TABLE" | "SEQUENCE" | "FUNCTION" | null;
  schema: string | null;
  name: string | null;
  missing: string[] | null;
}

/** Without the right to use a schema, `to_regclass` fails, so the catalog is read. $1 the rights by table, $2 our schema or NULL, $3 functions. */
const FIND_MISSING = `
WITH tables AS (
  SELECT table_.oid, nspname, namespace.oid AS namespace, relname, rights
  FROM jsonb_each($1::jsonb) AS wanted (name, rights)
  JOIN pg_class AS table_ ON relname = name AND relkind IN ('r', 'p')
  JOIN pg_namespace AS namespace ON namespace.oid = relnamespace
  WHERE CASE WHEN $2::text IS NULL THEN pg_table_is_visible(table_.oid) ELSE nspname = $2::text END
), missing AS (
  SELECT 1 AS position, 'SCHEMA' AS kind, nspname, NULL AS name, ARRAY['USAGE'] AS rights FROM pg_namespace
  WHERE nspname = $2::text AND NOT has_schema_privilege(oid, 'USAGE')
  UNION ALL
  SELECT 2, 'TABLE', nspname, relname, ARRAY(
    SELECT needed FROM jsonb_array_elements_text(rights) AS needed WHERE NOT has_table_privilege(oid, needed))
  FROM tables
  UNION ALL
  SELECT 3, 'SEQUENCE', space.nspname, sequence.relname, ARRAY(
    SELECT needed FROM unnest(ARRAY['SELECT', 'UPDATE', 'USAGE']) AS needed
    WHERE NOT has_sequence_privilege(sequence.oid, needed))
  FROM tables JOIN pg_attrdef AS def ON adrelid = tables.oid
  JOIN pg_depend ON classid = 'pg_attrdef'::regclass AND objid = def.oid
  JOIN pg_class AS sequence ON sequence.oid = refobjid AND relkind = 'S'
  JOIN pg_namespace AS space ON space.oid = sequence.relnamespace
  WHERE tables.relname = 'retraining_decisions'
  UNION ALL
  SELECT 4, 'FUNCTION', nspname, proname, ARRAY['EXECUTE'] FROM pg_proc AS own JOIN pg_namespace AS space ON space.oid = pronamespace
  WHERE proname = ANY ($3) AND CASE WHEN $2::text IS NULL THEN pg_function_is_visible(own.oid) ELSE nspname = $2::text END
    AND NOT has_function_privilege(own.oid, 'EXECUTE')
)
SELECT current_user::text AS role, kind, nspname AS schema, name, rights AS missing
FROM (SELECT 1) AS always LEFT JOIN missing ON cardinality(rights) > 0 ORDER BY position, name`;

/** What an error about a right means: which role lacks it, and which statement grants it. */
export async function explainRefusal(pool: pg.Pool, error: Error, databaseUrl: string): Promise<Error> {
  if (!error.message.startsWith("permission denied")) return error;
  const found = await findMissingGrants(pool).catch(() => null);
  if (found === null) return error;
  const remedy = findRemedy(error.message, found);
  return new PermanentError(
    "NO_PRIVILEGE",
    `${found.role} has no privilege in ${databaseAddress(databaseUrl)}: ${error.message}. ${remedy}`,
    { cause: error },
  );
}

function findRemedy(message: string, { role, grants }: MissingGrants): string {
  const [, kind = "", name = ""] = /^permission denied for (\w+) (.+)$/.exec(message) ?? [];
  const isOurs = OWN_NAME.test(message) || kind === "sequence";
  // Postgres names a table without its schema.
  const named = grants.find(({ object }) => object === name || object.endsWith(`.${name}`));
  const others = grants.length - 1;
  if (named)
    return `Run as the owner of Retrigger's tables: ${named.sql}${others > 0 ? ` (npx retrigger doctor prints the other ${others})` : ""}`;
  if (isOurs)
    return "The service does not need this right: use the owner's role, or one for prune (docs/operations.md#roles)";
  const [object, grantee] = [name, role].map((part) => pg.escapeIdentifier(part));
  if (kind === "function") return `Run as its owner: GRANT EXECUTE ON FUNCTION ${object} TO ${grantee};`;
  if (kind === "schema") return `Run as its owner: GRANT USAGE ON SCHEMA ${object} TO ${grantee};`;
  return `Run as its owner: GRANT SELECT ON ${object} TO ${grantee};`;
}
