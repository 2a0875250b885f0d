import type { Sources } from "../../src/settings/sources.ts";

/** The guide's tables as the settings describe them. */
export const GUIDE_SOURCES = {
  checks: { kind: "table", table: "drift_alerts", columns: {}, where: {} },
  buffer: { kind: "table", table: "ratings_buffer", columns: {}, where: {}, unit: "ratings", since: null },
  database: null,
} as const satisfies Sources;
