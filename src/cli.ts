import { Command, InvalidArgumentError, Option } from "commander";
import { DriftMonitoringCompleted, type DecisionRequest, type TrainingReport } from "../queues/jobs.ts";
import { INBOX_JOBS } from "../queues/names.ts";
import type { Client } from "./use-cases/client.ts";
import { note, warnIfNoWorkerRuns, withDatabase, withInbox, withWorkersHere } from "./cli/connections.ts";
import { addDispatchCommands } from "./cli/dispatch.ts";
import { parseConfig, parseConfigWithoutRedis } from "./config/config.ts";
import { formatCount, formatScore, formatTime, toPlain } from "./core/report/format.ts";
import { diagnose } from "./use-cases/doctor/doctor.ts";
import { dryRun } from "./use-cases/dry-run.ts";
import { messageOf } from "./core/errors.ts";
import { findModel } from "./config/find-model.ts";
import { createLogger } from "./process/logger.ts";
import { parseInput } from "./core/parse.ts";
import type { DecisionRow } from "./postgres/decision-log.ts";
import { createRunId } from "../queues/run-id.ts";
import { loadSettings } from "./config/environment.ts";

const log = createLogger("silent");
const say = (line: string): void => console.log(line);

/** A person who waits for longer has gone home. */
const LONGEST_TRAINING_MS = 7 * 86_400_000;

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
    const done = await withDatabase(parseConfigWithoutRedis(loadSettings()), (database) =>
      database.migrate({ onWait: note }),
    );
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
      await warnIfNoWorkerRuns(client);
    });
  });

program
  .command("decide")
  .description("ask for a decision now")
  .addOption(modelOption())
  .option("--dry-run", "weigh and report, but record and send nothing (needs Postgres alone)")
  .addOption(
    new Option("--wait [until]", "wait until the training is asked for, or (--wait=training) has ended")
      .choices(["dispatch", "training"])
      .preset("dispatch"),
  )
  .option("--json", "print the decision as one JSON object (waits)")
  .option("--timeout <seconds>", "how long to wait for the decision", parseSeconds, 900)
  .action(async (options: DecideOptions) => {
    if (options.dryRun) {
      const config = parseConfigWithoutRedis(loadSettings());
      const summary = await withDatabase(config, (database) =>
        dryRun({ config, database, model: options.model }),
      );
      return say(options.json ? JSON.stringify(summary, null, 2) : summary.report);
    }
    const config = parseConfig(loadSettings());
    await withInbox(config, options.model, async (client) => {
      const isWaiting = options.wait !== undefined || options.json === true;
      const workers = await client.inbox.getWorkersCount();
      const jobId = await client.send(INBOX_JOBS.manual, { model: options.model } satisfies DecisionRequest);
      if (!isWaiting) {
        say(`Asked for a decision about ${options.model} (job ${jobId}).`);
        return warnIfNoWorkerRuns(client);
      }
      const wait = () => waitAndReport(client, jobId, options);
      if (workers > 0) return wait();
      await withWorkersHere(config, wait, { trainings: options.wait === "training" ? "run" : "none" });
      if (options.wait !== "training" && config.trainer.name !== "mock")
        note(
          "A training that was asked for is followed (the command trainer: run) once a worker runs: npm start",
        );
    });
  });

addDispatchCommands(program);

program
  .command("history")
  .description("list the latest decisions, newest first")
  .option("-m, --model <name>", "of this model only")
  .option("-n, --limit <count>", "how many", parseCount, 20)
  .option("--json", "print them as a JSON array")
  .action(async ({ model, limit, json }: { model?: string; limit: number; json?: true }) => {
    const config = parseConfigWithoutRedis(loadSettings());
    const rows = await withDatabase(config, (database) =>
      database.listDecisions({ model: model ?? null, limit }),
    );
    // A model that was removed from the settings keeps its decisions; a name without any may be a typo.
    if (rows.length === 0 && model !== undefined) findModel(config.models, model);
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

interface DecideOptions {
  model: string;
  dryRun?: true;
  wait?: "dispatch" | "training";
  json?: true;
  timeout: number;
}

/** Exit code 1 if the training that was decided could not be requested, is unknown or did not succeed. */
async function waitAndReport(
  client: Client,
  jobId: string,
  { wait, json, timeout }: DecideOptions,
): Promise<void> {
  const summary = await client.waitForDecision(jobId, { limitMs: timeout * 1000 });
  if (!json) say(summary.report);
  const { dispatch } = summary;
  const state = dispatch?.state ?? null;
  const isUnderWay = state !== null && ["sent", "running"].includes(state) && dispatch?.trainer !== "mock";
  const training =
    wait === "training" && isUnderWay
      ? await client.waitForTraining(summary.runId, {
          limitMs: LONGEST_TRAINING_MS,
          onProgress: noteTraining,
        })
      : null;
  if (json) say(JSON.stringify(wait === "training" ? { ...summary, training } : summary, null, 2));
  const isRequested = state === null || !["rejected", "unknown", "cancelled", "failed"].includes(state);
  if (!isRequested || (training && training.state !== "succeeded")) process.exitCode = 1;
}

function noteTraining({
  state,
  status,
  conclusion,
  url,
  error,
  durationSeconds,
  alertsBackAt,
}: TrainingReport): void {
  const took = durationSeconds === null ? null : `${formatCount(Math.round(durationSeconds))} s`;
  const parts = [state, status, conclusion, took, url, error].filter((part) => part !== null);
  note(`Training: ${parts.join(" · ")}`);
  if (alertsBackAt !== null)
    note(`Its alerts are given back at ${alertsBackAt}; then a follow-up looks again.`);
}

function historyLines(row: DecisionRow, timeZone: string): string[] {
  const icon = row.decision?.startsWith("trigger") ? "🚨" : "✅";
  const buffer = row.bufferSize === null ? "N/A" : formatCount(row.bufferSize);
  const when = formatTime(row.decidedAt, timeZone);
  const lines = [
    `${icon} #${row.id} ${when} | ${row.model} | ${row.decision} | Buffer: ${buffer} | Drift: ${formatScore(row.driftScore)}`,
    `   ${(row.reason ?? "").replaceAll(",", ", ")}${row.dispatch === null ? "" : ` | dispatch: ${row.dispatch}`}${row.url === null ? "" : ` ${row.url}`}`,
  ];
  return lines.map(toPlain);
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
