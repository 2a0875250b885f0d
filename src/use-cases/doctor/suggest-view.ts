import type { ConfigWithoutRedis } from "../../config/config.ts";
import type { Database } from "../../postgres/database.ts";
import type { PartInspection } from "../../postgres/inspection/inspect.ts";
import { buildView } from "../../postgres/inspection/suggest-view.ts";

/**
 * Suggests a view for each source table of another shape, as SQL that runs as it stands, with the line of the file that uses
 * it. Models that share a table share the view.
 */
export async function suggestViews(
  { models }: Pick<ConfigWithoutRedis, "models">,
  database: Pick<Database, "inspectSources">,
): Promise<string[]> {
  const { parts, failed } = await database.inspectSources(models);
  const groups = new Map<string, PartInspection[]>();
  for (const part of parts) {
    if (!part.catalog || !isOfAnotherShape(part)) continue;
    const key = `${part.part} ${part.table.table}`;
    groups.set(key, [...(groups.get(key) ?? []), part]);
  }
  return [
    ...failed.map(({ message }) => `-- ${message}`),
    ...[...groups.values()].flatMap((group) => buildView(group)),
  ];
}

/** A column is missing or of the wrong type, or its values cannot be read. */
function isOfAnotherShape({ faults, measured }: PartInspection): boolean {
  const isMisshapen = faults.some(({ code }) => code === "MISSING_COLUMN" || code === "SOURCE_DATA");
  return isMisshapen || (measured !== null && measured.error !== null);
}
