import { createDatabase, type Database } from "../src/postgres/database.ts";
import { createLogger } from "../src/process/logger.ts";

/** Opens a database with the default limits. */
export function openDatabase(databaseUrl: string): Database {
  return createDatabase(
    {
      databaseUrl,
      timing: { lostAfterMs: 86_400_000 },
      timeZone: "UTC",
      evidenceMaxAgeSeconds: 900,
    },
    createLogger("silent"),
  );
}
