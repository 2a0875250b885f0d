import { Command, InvalidArgumentError, Option } from "commander";
import { DriftMonitoringCompleted, type DecisionRequest, type DecisionSummary } from "../queues/jobs.ts";
import { INBOX_JOBS } from "../queues/names.ts";
import { buildApp } from "./app.ts";
import { createClient } from "./client.ts";
import { type Config, parseConfig } from "./config.ts";
import { formatCount, formatScore, formatTime } from "./core/format.ts";
import { diagnose } from "./doctor.ts";
import { dryRun } from "./dry-run.ts";
import { messageOf, TransientError } from "./errors.ts";
import { findModel } from "./find-model.ts";
import { createLogger } from "./logger.ts";
import { parseInput } from "./parse-input.ts";
import { createDatabase, type Database } from "./postgres/database.ts";
import type { DecisionRow } from "./postgres/decisions.ts";
import { probeRedis } from "./redis/connection.ts";
import { createRunId } from "./run-id.ts";
import { loadSettings } from "./settings-file.ts";

const log = createLogger("silent");
const say = (line: string): void => console.log(line);
const note = (line: string): void => console.error(line);

const program = new Command("retrigger")
  .description(
    "Decides when a machine-learning model is retrained. Settings come from the environment and .env.",
  )
  .showHelpAfterError("(see --help)");

const modelOption = (): Option => new Option("-m, --model <name>", "the model").default("default");

program
  .command("migrate")
  .description("make or update Retrigger's tables; the DAG's decisions are kept")
  .action(async () => {
    const done = await withDatabase(parseConfig(loadSettings()), (database) => database.migrate());
    say(done.length > 0 ? `Migrated: ${done.join(", ")}` : "The tables are up to date.");
  });

program
  .command("emit")
  .description("send a drift_monitoring.completed event, as a drift run does")
  .addOption(modelOption())
  .option("--run-id <id>", "the drift run's id; the same one twice is one event")
  .option("--status <status>", "success or failed", "success")
  .option("--completed-at <time>", "ISO 8601; now by default")
  .option("--source <name>", "who says so", "retrigger emit")
  .action(async ({ model, runId, status, completedAt, source }: Record<string, string | undefined>) => {
    const config = parseConfig(loadSettings());
    const event = parseInput(
      DriftMonitoringCompleted,
      {
        model,
        runId: runId ?? `emit-${createRunId()}`,
        status,
        completedAt: completedAt ?? new Date().toISOString(),
        source,
      },
      "event",
    );
    await withInbox(config, event.model ?? "default", async (client) => {
      const jobId = await client.send(INBOX_JOBS.event, event);
      say(`Sent ${INBOX_JOBS.event} for ${event.model} as job ${jobId} (runId ${event.runId}).`);
      await warnWhereNoWorkerRuns(client);
    });
  });

program
  .command("decide")
  .description("ask for a decision now")
  .addOption(modelOption())
  .option("--dry-run", "weigh and report, but record and send nothing (needs Postgres alone)")
  .option("--wait", "wait for the decision and print its report")
  .option("--json", "print the decision as one JSON object (waits)")
  .option("--timeout <seconds>", "how long to wait", parseSeconds, 300)
  .action(async (options: { model: string; dryRun?: true; wait?: true; json?: true; timeout: number }) => {
    const config = parseConfig(loadSettings());
    const tell = (summary: DecisionSummary): void =>
      say(options.json ? JSON.stringify(summary, null, 2) : summary.report);
    if (options.dryRun) {
      const summary = await withDatabase(config, (database) =>
        dryRun({ config, database, model: options.model }),
      );
      return tell(summary);
    }
    await withInbox(config, options.model, async (client) => {
      const isWaiting = options.wait ?? options.json ?? false;
      const workers = await client.inbox.getWorkersCount();
      const jobId = await client.send(INBOX_JOBS.manual, { model: options.model } satisfies DecisionRequest);
      if (!isWaiting) {
        say(`Asked for a decision about ${options.model} (job ${jobId}).`);
        return warnWhereNoWorkerRuns(client);
      }
      const wait = () => client.waitForDecision(jobId, { limitMs: options.timeout * 1000 });
      const summary = workers > 0 ? await wait() : await withWorkersHere(config, wait);
      tell(summary);
    });
  });

program
  .command("history")
  .description("list the latest decisions, newest first")
  .option("-m, --model <name>", "of this model only")
  .option("-n, --limit <count>", "how many", parseCount, 20)
  .option("--json", "print them as a JSON array")
  .action(async ({ model, limit, json }: { model?: string; limit: number; json?: true }) => {
    const config = parseConfig(loadSettings());
    const rows = await withDatabase(config, (database) =>
      database.listDecisions({ model: model ?? null, limit }),
    );
    if (json) say(JSON.stringify(rows, null, 2));
    else if (rows.length === 0) say("No decisions yet. Ask for one with: npx retrigger decide --wait");
    else for (const row of rows) for (const line of historyLines(row, config.timeZone)) say(line);
  });

program
  .command("doctor")
  .description("check both servers, the tables, the migrations and the schedule, and say what to do")
  .action(async () => {
    const findings = await diagnose(parseConfig(loadSettings()), log);
    for (const { level, text, remedy } of findings) {
      say(`${{ ok: "✅", warning: "⚠️ ", fault: "❌" }[level]} ${text}`);
      if (remedy) say(`   → ${remedy}`);
    }
    if (findings.some(({ level }) => level === "fault")) process.exitCode = 1;
  });

await program.parseAsync().catch((error: unknown) => {
  note(messageOf(error));
  process.exitCode = 1;
});

async function withDatabase<T>(config: Config, use: (database: Database) => Promise<T>): Promise<T> {
  const database = createDatabase(config, log);
  try {
    return await use(database);
  } finally {
    await database.close();
  }
}

async function withInbox(
  config: Config,
  model: string,
  use: (client: ReturnType<typeof createClient>) => Promise<void>,
): Promise<void> {
  findModel(config.models, model);
  // A client waits for a Redis that is away; a person at a terminal is told at once.
  await probeRedis(config.redisUrl, (redis) => redis.ping());
  const client = createClient(config, log);
  try {
    await use(client);
  } finally {
    await client.close();
  }
}

/** Runs the workers in this process for as long as `use` takes. */
async function withWorkersHere<T>(config: Config, use: () => Promise<T>): Promise<T> {
  note("No worker is running (npm start): this process decides by itself.");
  const app = buildApp({ ...config, role: "worker" }, log, { isService: false });
  try {
    await app.start(AbortSignal.timeout(30_000));
    return await use();
  } catch (error) {
    if (error instanceof DOMException || (error instanceof Error && error.name === "AbortError")) {
      await withDatabase(config, (database) => database.ping());
      throw new TransientError("START", "The workers did not start in 30 s. See: npx retrigger doctor", {
        cause: error,
      });
    }
    throw error;
  } finally {
    await app.stop();
  }
}

async function warnWhereNoWorkerRuns({ inbox }: ReturnType<typeof createClient>): Promise<void> {
  if ((await inbox.getWorkersCount()) === 0)
    note("No worker is running, so it waits. Start one with: npm start");
}

function historyLines(row: DecisionRow, timeZone: string): string[] {
  const icon = row.decision?.startsWith("trigger") ? "🚨" : "✅";
  const buffer = row.bufferSize === null ? "N/A" : formatCount(row.bufferSize);
  const when = formatTime(row.decidedAt, timeZone);
  return [
    `${icon} #${row.id} ${when} | ${row.model} | ${row.decision} | Buffer: ${buffer} | Drift: ${formatScore(row.driftScore)}`,
    `   ${(row.reason ?? "").replaceAll(",", ", ")}`,
  ];
}

function parseSeconds(text: string): number {
  return parseBetween(text, 1, 86_400);
}

function parseCount(text: string): number {
  return parseBetween(text, 1, 1_000);
}

function parseBetween(text: string, least: number, most: number): number {
  const number = Number(text);
  if (Number.isInteger(number) && number >= least && number <= most) return number;
  throw new InvalidArgumentError(`It is a whole number from ${least} to ${most}.`);
}
