import { once } from "node:events";
import { Command, InvalidArgumentError } from "commander";
import type { TrainingReport } from "../queues/jobs.ts";
import { INBOX_JOBS } from "../queues/names.ts";
import { createRunId } from "../queues/run-id.ts";
import { buildApp } from "./app.ts";
import { type Config, parseConfig } from "./config/config.ts";
import { loadEnvironment } from "./config/environment.ts";
import { ConfigError, messageOf } from "./core/errors.ts";
import { loadSampleData, type ScenarioNumber, SCENARIOS } from "./embedded/sample-data.ts";
import { findFreePort, isPortFree } from "./embedded/server-process.ts";
import { startEmbeddedServers } from "./embedded/servers.ts";
import { createDatabase } from "./postgres/database.ts";
import { createReleasers } from "./process/lifecycle.ts";
import { createLogger } from "./process/logger.ts";
import { runUntilSignal } from "./process/signals.ts";
import { requireRedis } from "./redis/check.ts";
import { createClient, type StageProgress } from "./use-cases/client.ts";

interface DemoOptions {
  once?: true;
  scenario: ScenarioNumber;
}

const say = (line = ""): void => console.log(line);

/** Runs the whole chain on one bare machine: `npm run demo`. */
async function demo({ once: isOnce, scenario }: DemoOptions): Promise<void> {
  const log = createLogger("silent");
  const releasers = createReleasers(log);
  const finished = new AbortController();
  await runUntilSignal({
    log,
    stop: releasers.releaseAll,
    endsBy: finished.signal,
    async start(signal) {
      const settings = withDemoLogin(loadEnvironment());
      const own = await prepare(settings, scenario, releasers.add);
      // The user is waiting for the training to end, so poll more often than a service does.
      const config = { ...own, timing: { ...own.timing, pollMs: Math.min(own.timing.pollMs, 2_000) } };
      signal.throwIfAborted();
      const app = buildApp(
        { ...config, role: isOnce ? "worker" : "all", port: await choosePort(config, settings) },
        log,
      );
      releasers.add("app", app.stop);
      await app.start(signal);
      await Promise.race([decideOnce(config, releasers.add), once(signal, "abort")]);
      signal.throwIfAborted();
      if (isOnce) return finished.abort();
      say(`\nJobs, logs and retries (Bull Board):  ${app.address()}/queues`);
      say(`Decisions:                            ${app.address()}/decisions`);
      say("\nServing until Ctrl-C.");
    },
  });
}

/** A GitHub API on the loopback address is a fake, which needs no real login. */
function withDemoLogin(settings: Settings): Settings {
  const { TRAINER: trainer, GITHUB_API_URL: url = "" } = settings;
  const isLoopback = URL.canParse(url) && ["127.0.0.1", "localhost", "[::1]"].includes(new URL(url).hostname);
  if (trainer !== "github" || !isLoopback) return settings;
  const login = settings["GITHUB_APP_ID"] === undefined ? { GITHUB_TOKEN: "token-of-the-demo" } : {};
  return { ...login, GITHUB_REPO_OWNER: "YOUR_USER", GITHUB_REPO_NAME: "cinematch", ...settings };
}

type Settings = Record<string, string | undefined>;

/** Starts the servers that the settings do not name, and loads the sample data into a database that it started. */
async function prepare(
  settings: Settings,
  scenario: ScenarioNumber,
  onRelease: (what: string, release: () => unknown) => void,
): Promise<Config> {
  const databaseUrl = settings["DATABASE_URL"] ?? settings["NEON_CONNECTION_STRING"];
  const redisUrl = settings["REDIS_URL"];
  // Report every fault in the settings before starting anything.
  const placeholders = { DATABASE_URL: "postgres://localhost/demo", REDIS_URL: "redis://localhost" };
  parseConfig({ ...placeholders, ...settings });
  const own = [databaseUrl === undefined ? "Postgres" : null, redisUrl === undefined ? "Redis" : null].filter(
    Boolean,
  );
  if (own.length > 0) say(`Starting a private ${own.join(" and a private ")} ...`);
  const servers = await startEmbeddedServers({ databaseUrl, redisUrl, isDurable: true, say });
  onRelease("servers", servers.stop);
  if (databaseUrl === undefined) {
    say(`Loading scenario ${scenario}: ${SCENARIOS[scenario].title} ...`);
    await loadSampleData(servers.databaseUrl, scenario);
  } else {
    say(
      "Using the database of DATABASE_URL as it is, without loading sample data; --scenario has no effect.",
    );
  }
  const config = parseConfig({ ...settings, DATABASE_URL: servers.databaseUrl, REDIS_URL: servers.redisUrl });
  await checkServers(config);
  return config;
}

/** The service would wait for a server that is away; at a terminal, show the error at once. */
async function checkServers(config: Config): Promise<void> {
  await requireRedis(config);
  const database = createDatabase(config, createLogger("silent"));
  try {
    await database.ping();
  } finally {
    await database.close();
  }
}

/** The port of the settings, or a free one if they name none and the default is taken. */
async function choosePort({ port, host }: Config, settings: Settings): Promise<number> {
  if (settings["PORT"] !== undefined) return port;
  return (await isPortFree(port, host)) ? port : findFreePort();
}

/**
 * Sends one event, as a drift run would, shows the stages as they complete, prints the report, and follows the training, if
 * any, to its end.
 */
async function decideOnce(
  config: Config,
  onRelease: (what: string, release: () => unknown) => void,
): Promise<void> {
  const client = createClient(config, createLogger("silent"));
  onRelease("client", client.close);
  const model = config.models.has("default") ? undefined : [...config.models.keys()][0];
  const event = {
    runId: `demo-${createRunId()}`,
    status: "success",
    source: "npm run demo",
    completedAt: new Date().toISOString(),
    model,
  };
  const jobId = await client.send(INBOX_JOBS.event, event);
  say(`\n${INBOX_JOBS.event} is on the queue (job ${jobId}).`);
  const summary = await client.waitForDecision(jobId, {
    limitMs: DECISION_LIMIT_MS,
    onStage: sayStage,
    onWait: say,
  });
  say(`\n${summary.report}`);
  const { dispatch, runId } = summary;
  if (dispatch?.trainer === "mock" || (dispatch?.state !== "sent" && dispatch?.state !== "running")) return;
  say(`\nFollowing the training at ${dispatch.trainer}:`);
  await client.waitForTraining(runId, { limitMs: TRAINING_LIMIT_MS, onProgress: sayTraining });
}

/** After a lost response, searching for the training takes minutes. */
const DECISION_LIMIT_MS = 600_000;
const TRAINING_LIMIT_MS = 86_400_000;

function sayTraining({ state, status, conclusion, url, error, durationSeconds }: TrainingReport): void {
  const took = durationSeconds === null || conclusion === null ? null : `${durationSeconds} s`;
  say(`  ${[state, status, conclusion, took, url, error].filter((part) => part !== null).join(" · ")}`);
}

function sayStage({ stage, durationMs }: StageProgress): void {
  say(`  ✔ ${stage.padEnd(10)} ${String(durationMs).padStart(6)} ms`);
}

function parseScenario(text: string): ScenarioNumber {
  const number = Number(text);
  if (number in SCENARIOS) return number as ScenarioNumber;
  const known = Object.entries(SCENARIOS).map(([key, { title }]) => `${key} (${title})`);
  throw new InvalidArgumentError(`Must be one of ${known.join(", ")}.`);
}

await new Command("npm run demo --")
  .description("Run one drift event through the whole chain, on private servers.")
  .option("--once", "end after the report")
  .option(
    "--scenario <number>",
    "sample data: 1 trigger, 2 small buffer, 3 no drift, 4 no recent checks",
    parseScenario,
    1,
  )
  .action(demo)
  .parseAsync()
  .catch((error: unknown) => {
    console.error(error instanceof ConfigError ? error.message : `The demo failed: ${messageOf(error)}`);
    process.exitCode = 1;
  });
// What an interrupted wait leaves behind must not keep the process.
process.exit();
