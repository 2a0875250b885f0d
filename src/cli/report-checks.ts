import { Command } from "commander";
import { DriftMonitoringCompleted, PlainText } from "../../queues/jobs.ts";
import { parseChecks, type ReportedCheck } from "../../queues/reports.ts";
import { createRunId } from "../../queues/run-id.ts";
import { parseConfig, parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { parseInput } from "../core/parse.ts";
import { modelOption } from "./output.ts";
import { refuse } from "../use-cases/settle-dispatch.ts";
import { orRemotely, type Service } from "./remote.ts";
import { printSent, readText, saveChecks, sendEventOf } from "./send-checks.ts";

interface Options {
  model: string;
  run?: string;
  file: string;
  source: string;
  event: boolean;
}

/** `retrigger report-checks` */
export function createReportChecks(): Command {
  const command = new Command("report-checks")
    .description(
      "save the drift checks of a run, for a model with source: { checks: reported }, and send its event",
    )
    .addOption(modelOption())
    .option("--run <id>", "the drift run's id; the same run twice is saved once")
    .option("--file <file>", "a JSON array of checks, or one a line; - for standard input", "-")
    .option("--source <name>", "the sender", "retrigger report-checks")
    .option("--no-event", "do not request a decision");
  return orRemotely(command, reportChecks, reportRemotely);
}

async function reportChecks({ model, run, file, source, event }: Options): Promise<void> {
  const runId = run === undefined ? null : parseInput(PlainText, run, "run");
  const read = async (): Promise<ReportedCheck[]> => parseChecks(await readText(file, "--file"), runId);
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
  await sendEventOf(config, completed, { checks: await read(), runId });
}

async function reportRemotely(service: Service, { model, run, file, source, event }: Options): Promise<void> {
  if (!event) throw refuse("--no-event needs the database itself: leave --url out");
  const runId = run ?? `report-${createRunId()}`;
  const checks = parseChecks(await readText(file, "--file"), runId);
  printSent(await service.call("POST", "/events", { model, runId, source, status: "success", checks }));
}
