import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { Command } from "commander";
import { DriftMonitoringCompleted, PlainText } from "../../queues/jobs.ts";
import { INBOX_JOBS } from "../../queues/names.ts";
import { parseChecks, type ReportedCheck } from "../../queues/reports.ts";
import { createRunId } from "../../queues/run-id.ts";
import { type ConfigWithoutRedis, parseConfig, parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { findModel } from "../config/find-model.ts";
import { messageOf, PermanentError } from "../core/errors.ts";
import { parseInput } from "../core/parse.ts";
import { warnIfNoWorkerRuns, withClient, withDatabase } from "./connections.ts";
import { modelOption, print, printNote } from "./output.ts";

interface Options {
  model: string;
  run?: string;
  file: string;
  source: string;
  event: boolean;
}

/** `retrigger report-checks` */
export function createReportChecks(): Command {
  return new Command("report-checks")
    .description(
      "save the drift checks of a run, for a model with source: { checks: reported }, and send its event",
    )
    .addOption(modelOption())
    .option("--run <id>", "the drift run's id; the same run twice is saved once")
    .option("--file <file>", "a JSON array of checks, or one a line; - for standard input", "-")
    .option("--source <name>", "the sender", "retrigger report-checks")
    .option("--no-event", "do not request a decision")
    .action(reportChecks);
}

async function reportChecks({ model, run, file, source, event }: Options): Promise<void> {
  const runId = run === undefined ? null : parseInput(PlainText, run, "run");
  const read = async (): Promise<ReportedCheck[]> => parseChecks(await readText(file), runId);
  if (!event) {
    const config = parseConfigWithoutRedis(loadEnvironment());
    await saveChecks(config, { model, checks: await read(), runId, source });
    return;
  }
  const config = parseConfig(loadEnvironment());
  const completed = parseInput(
    DriftMonitoringCompleted,
    {
      model,
      runId: runId ?? `report-${createRunId()}`,
      status: "success",
      completedAt: new Date().toISOString(),
      source,
    },
    "event",
  );
  const checks = await read();
  // Redis is checked first, so that nothing is saved whose event cannot be sent.
  await withClient(config, model, async (client) => {
    await saveChecks(config, { model, checks, runId, source });
    const jobId = await client.send(INBOX_JOBS.event, completed);
    print(`Sent ${INBOX_JOBS.event} for ${model} as job ${jobId} (runId ${completed.runId}).`);
    await warnIfNoWorkerRuns(client);
  });
}

async function saveChecks(
  config: ConfigWithoutRedis,
  report: { model: string; checks: ReportedCheck[]; runId: string | null; source: string },
): Promise<void> {
  const { model, checks } = report;
  const { checks: from } = findModel(config.models, model).source;
  const saved = await withDatabase(config, (database) => database.saveChecks(model, checks, report));
  const known = checks.length - saved;
  print(
    `Saved ${saved} check(s) of ${model}.${known === 0 ? "" : ` ${known} had been reported by this run before.`}`,
  );
  if (from.kind === "table")
    printNote(
      `${model} reads its checks from ${from.table}, not from reports: set checks: reported in its source`,
    );
}

async function readText(file: string): Promise<string> {
  if (file === "-") {
    if (process.stdin.isTTY) printNote("Reading checks from standard input; end it with Ctrl-D.");
    return text(process.stdin);
  }
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new PermanentError("BAD_INPUT", `--file: cannot read ${file}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
