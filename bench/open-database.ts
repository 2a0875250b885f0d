import { createDatabase, type Database } from "../src/postgres/database.ts";
import { createLogger } from "../src/process/logger.ts";

/** Opens a database with the default limits. */
export function openDatabase(databaseUrl: string, trainer: "mock" | "github"): Database {
  return createDatabase(
    {
      databaseUrl,
      trainer: { name: trainer },
      timing: { lostAfterMs: 86_400_000 },
      timeZone: "UTC",
      evidenceMaxAgeSeconds: 900,
    },
    createLogger("silent"),
  );
}
