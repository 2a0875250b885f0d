import { Command, Option } from "commander";
import type { DecisionRequest, TrainingReport } from "../../queues/jobs.ts";
import { INBOX_JOBS } from "../../queues/names.ts";
import { parseConfig, parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { formatCount } from "../core/format.ts";
import type { Client } from "../use-cases/client.ts";
import { dryRun } from "../use-cases/dry-run.ts";
import { warnIfNoWorkerRuns, withClient, withDatabase, withLocalWorkers } from "./connections.ts";
import { modelOption, parseBetween, print, printNote, printNotes } from "./output.ts";

interface DecideOptions {
  model: string;
  dryRun?: true;
  wait?: "dispatch" | "training";
  json?: true;
  /** Seconds. */
  timeout: number;
}

/** `retrigger decide` */
export function createDecide(): Command {
  return new Command("decide")
    .description("request a decision now")
    .addOption(modelOption())
    .option("--dry-run", "evaluate and report, but record and send nothing (needs only Postgres)")
    .addOption(
      new Option(
        "--wait [until]",
        "wait until the training has been requested, or (--wait=training) has ended",
      )
        .choices(["dispatch", "training"])
        .preset("dispatch"),
    )
    .option("--json", "print the decision as one JSON object (waits)")
    .option("--timeout <seconds>", "how long to wait for the decision", parseBetween(1, 86_400), 900)
    .action((options: DecideOptions) => (options.dryRun ? showDryRun(options) : decide(options)));
}

async function showDryRun({ model, json }: DecideOptions): Promise<void> {
  const config = parseConfigWithoutRedis(loadEnvironment());
  printNotes(config);
  const summary = await withDatabase(config, (database) => dryRun({ config, database, model }));
  print(json ? JSON.stringify(summary, null, 2) : summary.report);
}

async function decide(options: DecideOptions): Promise<void> {
  const config = parseConfig(loadEnvironment());
  printNotes(config);
  const { model } = options;
  await withClient(config, model, async (client) => {
    const isWaiting = options.wait !== undefined || options.json === true;
    const workers = await client.inbox.getWorkersCount();
    const jobId = await client.send(INBOX_JOBS.manual, { model } satisfies DecisionRequest);
    if (!isWaiting) {
      print(`Requested a decision about ${model} (job ${jobId}).`);
      return warnIfNoWorkerRuns(client);
    }
    const wait = () => waitAndReport(client, jobId, options);
    if (workers > 0) return wait();
    await withLocalWorkers(config, wait, { trainings: options.wait === "training" ? "run" : "none" });
    if (options.wait !== "training" && config.trainer.name !== "mock")
      printNote(
        "If a training was requested, it is followed (with TRAINER=command: run) once a worker is running: npm start",
      );
  });
}

/** Longer than anybody waits at a terminal. */
const TRAINING_LIMIT_MS = 7 * 86_400_000;

/** Exit code 1 if the decided training could not be requested, is unknown or did not succeed. */
async function waitAndReport(
  client: Client,
  jobId: string,
  { wait, json, timeout }: DecideOptions,
): Promise<void> {
  const summary = await client.waitForDecision(jobId, { limitMs: timeout * 1000, onWait: printNote });
  if (!json) print(summary.report);
  const { dispatch } = summary;
  const state = dispatch?.state ?? null;
  const isUnderWay = state !== null && ["sent", "running"].includes(state) && dispatch?.trainer !== "mock";
  const training =
    wait === "training" && isUnderWay
      ? await client.waitForTraining(summary.runId, {
          limitMs: TRAINING_LIMIT_MS,
          onProgress: printTraining,
        })
      : null;
  if (json) print(JSON.stringify(wait === "training" ? { ...summary, training } : summary, null, 2));
  const isRequested = state === null || !["rejected", "unknown", "cancelled", "failed"].includes(state);
  if (!isRequested || (training && training.state !== "succeeded")) process.exitCode = 1;
}

function printTraining(report: TrainingReport): void {
  const { state, status, conclusion, url, error, durationSeconds, alertsBackAt } = report;
  const took = durationSeconds === null ? null : `${formatCount(Math.round(durationSeconds))} s`;
  const parts = [state, status, conclusion, took, url, error].filter((part) => part !== null);
  printNote(`Training: ${parts.join(" · ")}`);
  if (alertsBackAt !== null)
    printNote(`Its alerts are held back until ${alertsBackAt}; then a follow-up re-evaluates.`);
}
