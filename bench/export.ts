import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { parseArgs } from "node:util";
import pg from "pg";
import { parseConfig } from "../src/config/config.ts";
import { startEmbeddedServers } from "../src/embedded/servers.ts";
import { createReleasers } from "../src/process/lifecycle.ts";
import { createLogger } from "../src/process/logger.ts";
import { createRedactor } from "../src/process/redact.ts";
import { exportDecisions } from "../src/use-cases/export/export.ts";
import { EXPORT_FORMATS } from "../src/use-cases/export/formats.ts";
import { openDatabase } from "./open-database.ts";
import { fillTables } from "./page-data.ts";
import { renderModels } from "./page-models.ts";

/**
 * Exports 100,000 decisions in each format, and says how long that takes and how much memory: `npm run bench:export`.
 * `--decisions 1000000` exports a million. It starts its own Postgres.
 */
const { values: options } = parseArgs({ options: { decisions: { type: "string", default: "100000" } } });
const DECISIONS = Number(options.decisions);

const releasers = createReleasers(createLogger("silent"));
try {
  await main();
} finally {
  await releasers.releaseAll();
}

async function main(): Promise<void> {
  const redisUrl = "redis://localhost";
  const servers = await startEmbeddedServers({ redisUrl, isDurable: false, say: console.error });
  releasers.add("servers", servers.stop);
  const directory = await mkdtemp(join(process.cwd(), ".data", "bench-export-"));
  releasers.add("files", () => rm(directory, { recursive: true }));
  const path = join(directory, "retrigger.yaml");
  await writeFile(path, renderModels());
  const config = parseConfig({
    DATABASE_URL: servers.databaseUrl,
    REDIS_URL: redisUrl,
    RETRIGGER_CONFIG: path,
  });
  const database = openDatabase(servers.databaseUrl);
  releasers.add("database", database.close);
  await database.migrate();
  const pool = new pg.Pool({ connectionString: servers.databaseUrl });
  console.error(`filling the tables with ${DECISIONS} decisions ...`);
  await fillTables(pool, { config, database, decisions: DECISIONS });
  await pool.end();
  const dependencies = { database, models: config.models, redact: createRedactor(config.secrets) };
  console.log(`${DECISIONS} decisions, Node ${process.version}, ${toMB(process.memoryUsage.rss())} before`);
  for (const format of EXPORT_FORMATS) {
    const startedAt = performance.now();
    const { pages } = await exportDecisions(dependencies, {}, format);
    let bytes = 0;
    let memory = 0;
    for await (const page of pages) {
      bytes += Buffer.byteLength(page);
      memory = Math.max(memory, process.memoryUsage.rss());
    }
    const seconds = ((performance.now() - startedAt) / 1000).toFixed(1);
    console.log(
      `${format.padEnd(12)} ${seconds.padStart(6)} s, ${toMB(bytes)} written, ${toMB(memory)} resident at most`,
    );
  }
}

function toMB(bytes: number): string {
  return `${Math.round(bytes / 1e6)} MB`;
}
