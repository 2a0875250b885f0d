import { parseConfig } from "../../src/config/config.ts";
import { createDatabase } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { verifyAll } from "../../src/use-cases/verify/verify-all.ts";
import type { Sandbox } from "./sandbox.ts";

/** What `retrigger verify --all` finds in the sandbox, and decisions that it does not cover. */
export async function findUnverified({
  settings,
  directUrl,
}: Pick<Sandbox, "settings" | "directUrl">): Promise<string[]> {
  const config = { ...parseConfig(settings), databaseUrl: directUrl };
  const database = createDatabase(config, createLogger("silent"));
  try {
    const { faults, uncovered } = await verifyAll(database, { model: null });
    const rows = Object.values(uncovered).reduce((sum, count) => sum + count, 0);
    return [...faults.map(({ text }) => text), ...(rows > 0 ? [`${rows} decisions are not covered`] : [])];
  } finally {
    await database.close();
  }
}
