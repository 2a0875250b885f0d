import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import { z } from "zod";
import type { DriftMonitoringCompleted } from "../../queues/jobs.ts";
import { INBOX_JOBS } from "../../queues/names.ts";
import type { ReportedCheck } from "../../queues/reports.ts";
import type { Config, ConfigWithoutRedis } from "../config/config.ts";
import { findModel } from "../config/find-model.ts";
import { messageOf, PermanentError } from "../core/errors.ts";
import { type EventReport, sendEvent } from "../use-cases/send-event.ts";
import { audited } from "./audited.ts";
import { warnIfRequestWaits, withClient, withDatabase } from "./connections.ts";
import { print, printNote } from "./output.ts";

/** The drift checks of a run. Without a run id, each report is a new one. */
export interface CheckReport {
  model: string;
  checks: readonly ReportedCheck[];
  runId: string | null;
  source: string;
}

/** Sends an event. With checks, both are saved together first, so that neither can be lost without the other. */
export async function sendEventOf(
  config: Config,
  event: DriftMonitoringCompleted,
  report: EventReport | null,
): Promise<void> {
  const { model = "default", runId } = event;
  await withClient(config, model, async (client) => {
    let jobId: string | null;
    if (report === null) jobId = await client.send(INBOX_JOBS.event, event);
    else {
      const sent = await withDatabase(config, (database) =>
        audited(database, { action: "report checks", target: model }, () =>
          sendEvent({ database, client }, event, report),
        ),
      );
      printSaved(config, model, { given: report.checks.length, saved: sent.savedChecks });
      ({ jobId } = sent);
    }
    if (jobId === null)
      return print(`The drift run ${runId} of ${model} was reported before, so nothing was sent.`);
    print(`Sent ${INBOX_JOBS.event} for ${model} as job ${jobId} (runId ${runId}).`);
    await warnIfRequestWaits(config, client);
  });
}

/** Prints what became of an event that a service elsewhere took. */
export function printSent(response: Record<string, unknown>): void {
  const { outcome, runId, model, jobId, savedChecks } = Sent.parse(response);
  if (savedChecks > 0) print(`Saved ${savedChecks} check(s) of ${model}.`);
  if (outcome === "duplicate") print(`The drift run ${runId} of ${model} was reported before.`);
  if (jobId !== null) print(`Sent ${INBOX_JOBS.event} for ${model} as job ${jobId} (runId ${runId}).`);
}

const Sent = z.object({
  outcome: z.string(),
  runId: z.string(),
  model: z.string(),
  jobId: z.string().nullable(),
  savedChecks: z.number(),
});

/** Saves the checks of a run, those that are new. */
export async function saveChecks(config: ConfigWithoutRedis, report: CheckReport): Promise<void> {
  const { model, checks } = report;
  findModel(config.models, model);
  const saved = await withDatabase(config, (database) =>
    audited(database, { action: "report checks", target: model }, () =>
      database.saveChecks(model, checks, report),
    ),
  );
  printSaved(config, model, { given: checks.length, saved });
}

function printSaved(
  config: ConfigWithoutRedis,
  model: string,
  { given, saved }: { given: number; saved: number },
): void {
  const { checks: from } = findModel(config.models, model).source;
  const known = given - saved;
  print(
    `Saved ${saved} check(s) of ${model}.${known === 0 ? "" : ` ${known} had been reported by this run before.`}`,
  );
  if (from.kind === "table")
    printNote(
      `${model} reads its checks from ${from.table}, not from reports: set checks: reported in its source`,
    );
}

/**
 * Reads a file, or standard input for `-`.
 *
 * @param option The option that names the file.
 * @throws PermanentError if it cannot be read.
 */
export async function readText(file: string, option: string): Promise<string> {
  if (file === "-") {
    if (process.stdin.isTTY) printNote("Reading from standard input; end it with Ctrl-D.");
    return text(process.stdin);
  }
  try {
    return await readFile(file, "utf8");
  } catch (error) {
    throw new PermanentError("BAD_INPUT", `${option}: cannot read ${file}: ${messageOf(error)}`, {
      cause: error,
    });
  }
}
