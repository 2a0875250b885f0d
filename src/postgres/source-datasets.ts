import type pg from "pg";
import type { Dataset } from "../core/openlineage.ts";
import type { Sources } from "../settings/sources.ts";
import { databaseAddress } from "./explain-error.ts";
import { explainSourceError } from "./remote-evidence.ts";
import type { SourcePools } from "./source-pools.ts";

/** Names source tables as OpenLineage does. */
export function createDatasetStore({
  pool,
  databaseUrl,
  sourcePools,
}: {
  pool: pg.Pool;
  databaseUrl: string;
  sourcePools: SourcePools;
}) {
  return {
    /**
     * The tables and views that exist, by their names in the settings.
     *
     * @param database A model's own; null for Retrigger's.
     */
    async locateTables(
      database: Sources["database"],
      tables: readonly string[],
    ): Promise<Map<string, Dataset>> {
      if (database === null) return locate(pool, databaseUrl, tables);
      const { url, variable } = database;
      return sourcePools
        .withSource(url, (source) => locate(source.pool, url, tables))
        .catch((error: unknown) => {
          throw explainSourceError(error, url, variable);
        });
    },
  };
}

async function locate(
  pool: pg.Pool,
  databaseUrl: string,
  tables: readonly string[],
): Promise<Map<string, Dataset>> {
  const { rows } = await pool.query<{ wanted: string; name: string }>(LOCATE, [tables]);
  const [host = ""] = databaseAddress(databaseUrl).split("/");
  return new Map(rows.map(({ wanted, name }) => [wanted, { namespace: `postgres://${host}`, name }]));
}

// Unlike to_regclass, this takes names as they are written in the settings, whatever their case.
const LOCATE = `
SELECT name AS wanted, concat_ws('.', current_database(), nspname, relname) AS name
FROM (SELECT name, string_to_array(name, '.') AS parts FROM unnest($1::text[]) AS name) AS wanted
JOIN pg_class ON relname = parts[cardinality(parts)] AND relkind IN ('r', 'v', 'm', 'p', 'f')
JOIN pg_namespace AS namespace ON namespace.oid = relnamespace
WHERE CASE cardinality(parts) WHEN 1 THEN pg_table_is_visible(pg_class.oid) ELSE nspname = parts[1] END`;
