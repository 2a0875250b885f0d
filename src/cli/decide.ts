import { setTimeout as pause } from "node:timers/promises";
import { Command, Option } from "commander";
import type { TrainingReport } from "../../queues/jobs.ts";
import { type Config, parseConfig, parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { findModel } from "../config/find-model.ts";
import { formatCount, formatInstant } from "../core/format.ts";
import { DecisionSummary } from "../core/report/decision-summary.ts";
import type { Client } from "../use-cases/client.ts";
import { dryRun } from "../use-cases/dry-run.ts";
import { requestDecision } from "../use-cases/request-decision.ts";
import { refuse } from "../use-cases/settle-dispatch.ts";
import { audited } from "./audited.ts";
import { warnIfRequestWaits, withClient, withDatabase, withLocalWorkers } from "./connections.ts";
import { encode, orRemotely, type Service } from "./remote.ts";
import { modelOption, parseBetween, parseText, print, printNote, printNotes } from "./output.ts";

interface DecideOptions {
  model: string;
  dryRun?: true;
  wait?: "dispatch" | "training";
  json?: true;
  /** Seconds. */
  timeout: number;
  force?: true;
  by?: string;
  reason?: string;
}

/** `retrigger decide` */
export function createDecide(): Command {
  const command = new Command("decide")
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
    .option("--force", "pass the guards, never the criteria; needs --by and --reason, which are recorded")
    .option("--by <name>", "who forces it", parseText)
    .option("--reason <text>", "why it is forced", parseText)
    .option("--timeout <seconds>", "how long to wait for the decision", parseBetween(1, 86_400), 900);
  return orRemotely(
    command,
    (options: DecideOptions) => (options.dryRun ? showDryRun(options) : decide(options)),
    decideRemotely,
  );
}

async function decideRemotely(service: Service, options: DecideOptions): Promise<void> {
  const { model, dryRun: isDry = false, wait, json, timeout } = options;
  if (wait === "training") throw refuse("--wait=training needs the servers themselves: leave --url out");
  const forced = parseForce(options);
  const body = {
    dryRun: isDry,
    ...(forced ? { force: true, reason: `${forced.reason} (${forced.by})` } : {}),
  };
  const sent = await service.call("POST", `/models/${encode(model)}/decisions`, body);
  if (isDry) return printSummary(DecisionSummary.parse(sent), json);
  const jobId = String(sent["jobId"]);
  if (wait === undefined && !json) return print(`Requested a decision about ${model} (job ${jobId}).`);
  let reported: unknown = null;
  for (const deadline = Date.now() + timeout * 1000; ; await pause(POLL_MS)) {
    const answer = await service.call("GET", `/requests/${encode(jobId)}`);
    const { state, problem, decision, decisionId, obstacle } = answer;
    if (state === "decided" && decision === null)
      throw refuse(`Decision ${String(decisionId)} was made, but its report is no longer kept`);
    if (state === "decided") return printSummary(DecisionSummary.parse(decision), json);
    if (state === "not_decided") throw refuse(String(problem));
    if (typeof obstacle === "string" && obstacle !== reported) printNote(`⏳ Waiting: ${obstacle}`);
    reported = obstacle;
    if (Date.now() > deadline)
      throw refuse(`Nothing was decided within ${timeout} s. The request ${jobId} still waits`);
  }
}

/** How often a service elsewhere is asked whether it has decided. */
const POLL_MS = 500;

/** Exit code 1 if the decided training could not be requested or is unknown. */
function printSummary(summary: DecisionSummary, json: true | undefined): void {
  print(json ? JSON.stringify(summary, null, 2) : summary.report);
  if (!isRequested(summary)) process.exitCode = 1;
}

function isRequested({ dispatch }: DecisionSummary): boolean {
  return !["rejected", "unknown", "cancelled", "failed"].includes(dispatch?.state ?? "");
}

/** Who forces the decision, and why; null if it is not forced. @throws PermanentError if one of the options is missing. */
function parseForce({ force, by, reason }: DecideOptions): { by: string; reason: string } | null {
  if (by !== undefined && reason !== undefined && force) return { by, reason };
  if (!force && by === undefined && reason === undefined) return null;
  throw refuse("--force, --by and --reason go together: who forces the decision, and why");
}

async function showDryRun(options: DecideOptions): Promise<void> {
  const { model, json } = options;
  const forced = parseForce(options);
  const config = parseConfigWithoutRedis(loadEnvironment());
  printNotes(config);
  const summary = await withDatabase(config, (database) => dryRun({ config, database, model, forced }));
  print(json ? JSON.stringify(summary, null, 2) : summary.report);
}

async function decide(options: DecideOptions): Promise<void> {
  const forced = parseForce(options);
  const config = parseConfig(loadEnvironment());
  printNotes(config);
  const { model } = options;
  await withClient(config, model, async (client) => {
    const isWaiting = options.wait !== undefined || options.json === true;
    const workers = await client.inbox.getWorkersCount();
    const jobId = await request(config, client, model, forced);
    if (!isWaiting) {
      print(`Requested a decision about ${model} (job ${jobId}).`);
      return warnIfRequestWaits(config, client);
    }
    const wait = () => waitAndReport(client, jobId, options);
    if (workers > 0) return wait();
    await withLocalWorkers(config, wait, { trainings: options.wait === "training" ? "run" : "none" });
    if (options.wait !== "training" && findModel(config.models, model).trainer.name !== "mock")
      printNote(
        "If a training was requested, it is followed (with the trainer command: run) once a worker is running: npm start",
      );
  });
}

/** Records who requests the decision. */
async function request(
  config: Config,
  client: Client,
  model: string,
  forced: { by: string; reason: string } | null,
): Promise<string> {
  return withDatabase(config, (database) => {
    const send = () => requestDecision({ database, client }, model, forced);
    const action = forced === null ? "decide" : "decide --force";
    return audited(database, { action, target: model, ...(forced ? { by: forced.by } : {}) }, send);
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
  if (!isRequested(summary) || (training && training.state !== "succeeded")) process.exitCode = 1;
}

function printTraining(report: TrainingReport): void {
  const { state, status, conclusion, url, error, durationSeconds, alertsBackAt } = report;
  const took = durationSeconds === null ? null : `${formatCount(Math.round(durationSeconds))} s`;
  const parts = [state, status, conclusion, took, url, error].filter((part) => part !== null);
  printNote(`Training: ${parts.join(" · ")}`);
  if (alertsBackAt !== null)
    printNote(
      `Its alerts are held back until ${formatInstant(alertsBackAt)}; then a follow-up re-evaluates.`,
    );
}
