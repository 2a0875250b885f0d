import { parseConfig } from "../../src/config/config.ts";
import { SOURCE_TABLES } from "../../src/embedded/sample-data.ts";
import { createDatabase } from "../../src/postgres/database.ts";
import { createLogger } from "../../src/process/logger.ts";
import { queryOnce, withDatabase } from "./database-url.ts";

/** TEST_SCHEMA puts our tables into a schema of their own, for all tests. */
const TEST_SCHEMA = process.env["TEST_SCHEMA"];
export const SCHEMA_SETTING: Record<string, string> =
  TEST_SCHEMA === undefined ? {} : { RETRIGGER_SCHEMA: TEST_SCHEMA };

/** Creates a database with the source tables. Returns its URL. */
export async function createSourceDatabase(serverUrl: string, name: string): Promise<string> {
  await queryOnce(serverUrl, `CREATE DATABASE ${name}`);
  const url = withDatabase(serverUrl, name);
  await queryOnce(url, SOURCE_TABLES);
  return url;
}

/** Creates a database with the source tables and ours: a copy takes a fifth of the time of the migrations. */
export async function createTemplate(serverUrl: string, name: string): Promise<void> {
  const url = await createSourceDatabase(serverUrl, name);
  const settings = { DATABASE_URL: url, REDIS_URL: "redis://127.0.0.1:1", ...SCHEMA_SETTING };
  const database = createDatabase(parseConfig(settings), createLogger("silent"));
  await database.migrate();
  await database.close();
}
