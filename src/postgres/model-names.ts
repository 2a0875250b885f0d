/** Selects the models of a table by its index on the model, in as many steps as there are models. */
export function selectModelNames(table: string): string {
  return `SELECT model FROM (
  WITH RECURSIVE names AS (
    (SELECT model FROM ${table} ORDER BY model LIMIT 1)
    UNION ALL
    SELECT (SELECT model FROM ${table} AS further WHERE further.model > names.model ORDER BY model LIMIT 1) FROM names
    WHERE names.model IS NOT NULL
  ) SELECT model FROM names WHERE model IS NOT NULL) AS ${table}_names`;
}
