import { type Config, parseConfig } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { loadExampleData } from "../embedded/example-data.ts";
import { loadSampleData, type ScenarioNumber, SCENARIOS } from "../embedded/sample-data.ts";
import { type EmbeddedServers, startEmbeddedServers } from "../embedded/servers.ts";
import { createDatabase } from "../postgres/database.ts";
import { createLogger } from "../process/logger.ts";
import { requireRedis } from "../redis/check.ts";
import { GUIDE_TABLES } from "../settings/sources.ts";
import { DEMO_CONFIG, loadHistory } from "./history/history.ts";

/** Variables by name. */
export type Settings = Record<string, string | undefined>;

export interface Prepared {
  config: Config;
  /** The variables that another process needs to work with the same servers, as far as the demo chose them. */
  exports: Record<string, string>;
}

/** Prints a line. */
export type Say = (line?: string) => void;

/** What the options say about the data. */
export interface DataOptions {
  scenario: ScenarioNumber;
  /** The file of `--config`. */
  file: string | undefined;
  /** Whether the demo ends after the report, so that nobody sees pages. */
  isOnce: boolean;
}

/**
 * The settings of the environment and `.env`, with the file of `--config` and what a fake GitHub needs. If neither the
 * settings nor the options say what to decide about, they name the demo's own file.
 */
export function readSettings({ file, isOnce }: DataOptions): Settings {
  const settings = loadEnvironment();
  const isOurs = file === undefined && !isOnce && findDatabaseUrl(settings) === undefined;
  const config = file ?? settings["RETRIGGER_CONFIG"] ?? (isOurs ? DEMO_CONFIG : undefined);
  return withDemoLogin(config === undefined ? settings : { ...settings, RETRIGGER_CONFIG: config });
}

function findDatabaseUrl(settings: Settings): string | undefined {
  return settings["DATABASE_URL"] ?? settings["NEON_CONNECTION_STRING"];
}

/** A GitHub API on the loopback address is a fake, which needs no real login. */
function withDemoLogin(settings: Settings): Settings {
  const { TRAINER: trainer, GITHUB_API_URL: url = "" } = settings;
  const isLoopback = URL.canParse(url) && ["127.0.0.1", "localhost", "[::1]"].includes(new URL(url).hostname);
  if (trainer !== "github" || !isLoopback) return settings;
  const login = settings["GITHUB_APP_ID"] === undefined ? { GITHUB_TOKEN: "token-of-the-demo" } : {};
  return { ...login, GITHUB_REPO_OWNER: "YOUR_USER", GITHUB_REPO_NAME: "cinematch", ...settings };
}

/**
 * Starts the servers that the settings do not name, and loads sample data into a database that it started.
 *
 * @throws ConfigError with every fault in the settings, before anything is started.
 */
export async function prepare(
  settings: Settings,
  { scenario, file }: DataOptions,
  { onRelease, say }: { onRelease: (what: string, release: () => unknown) => void; say: Say },
): Promise<Prepared> {
  const databaseUrl = findDatabaseUrl(settings);
  const hasHistory = settings["RETRIGGER_CONFIG"] === DEMO_CONFIG;
  const redisUrl = settings["REDIS_URL"];
  // A cluster or sentinels are the user's own.
  const isReplicated = Boolean(settings["REDIS_CLUSTER_NODES"] ?? settings["REDIS_SENTINELS"]);
  const placeholders = {
    DATABASE_URL: "postgres://localhost/demo",
    ...(isReplicated ? {} : { REDIS_URL: "redis://localhost" }),
  };
  parseConfig({ ...placeholders, ...settings });
  const own = [databaseUrl === undefined ? "Postgres" : null, redisUrl === undefined ? "Redis" : null].filter(
    Boolean,
  );
  if (own.length > 0) say(`Starting a private ${own.join(" and a private ")} ...`);
  const servers = await startEmbeddedServers({ databaseUrl, redisUrl, isDurable: true, say });
  onRelease("servers", servers.stop);
  const config = parseConfig({ ...settings, DATABASE_URL: servers.databaseUrl, REDIS_URL: servers.redisUrl });
  // The user did not write the demo's own file.
  if (!hasHistory) for (const note of config.notes) say(note);
  await requireRedis(config);
  const database = createDatabase(config, createLogger("silent"));
  try {
    // The service would wait for a server that is away; at a terminal, show the error at once.
    await database.ping();
    if (databaseUrl !== undefined) sayNoSampleData(file, say);
    else if (hasHistory) {
      sayScenario(scenario, say);
      say("Replaying the weeks before it, for three models ...");
      await database.migrate();
      await loadHistory(config, scenario);
    } else {
      if (file === undefined || readsGuideTables(config)) await loadScenario(servers, scenario, say);
      if (file !== undefined) await loadExample(config, database, say);
    }
  } finally {
    await database.close();
  }
  return {
    config,
    exports: {
      ...(databaseUrl === undefined ? { DATABASE_URL: servers.databaseUrl } : {}),
      ...(redisUrl === undefined ? { REDIS_URL: servers.redisUrl } : {}),
      ...(file === undefined ? {} : { RETRIGGER_CONFIG: file }),
    },
  };
}

function sayNoSampleData(file: string | undefined, say: Say): void {
  const note = file === undefined ? "; --scenario has no effect" : "";
  say(`Using the database of DATABASE_URL as it is, without loading sample data${note}.`);
}

function readsGuideTables({ models }: Config): boolean {
  const names: readonly string[] = Object.values(GUIDE_TABLES);
  return [...models.values()].some(({ source: { checks, buffer, database } }) =>
    [checks, buffer].some((part) => database === null && part.kind === "table" && names.includes(part.table)),
  );
}

function sayScenario(scenario: ScenarioNumber, say: Say): void {
  say(`Loading scenario ${scenario}: ${SCENARIOS[scenario].title} ...`);
}

async function loadScenario(
  { databaseUrl }: EmbeddedServers,
  scenario: ScenarioNumber,
  say: Say,
): Promise<void> {
  sayScenario(scenario, say);
  await loadSampleData(databaseUrl, scenario);
}

async function loadExample(
  config: Config,
  database: ReturnType<typeof createDatabase>,
  say: Say,
): Promise<void> {
  // What is reported is saved in tables of Retrigger's own.
  await database.migrate();
  const filled = await loadExampleData(config, database);
  if (filled.length > 0) say(`Loaded sample data for ${filled.join(", ")}.`);
}
