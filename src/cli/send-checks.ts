import { readFile } from "node:fs/promises";
import { text } from "node:stream/consumers";
import type { DriftMonitoringCompleted } from "../../queues/jobs.ts";
import { INBOX_JOBS } from "../../queues/names.ts";
import type { ReportedCheck } from "../../queues/reports.ts";
import type { Config, ConfigWithoutRedis } from "../config/config.ts";
import { findModel } from "../config/find-model.ts";
import { messageOf, PermanentError } from "../core/errors.ts";
import { warnIfNoWorkerRuns, withClient, withDatabase } from "./connections.ts";
import { print, printNote } from "./output.ts";

/** The drift checks of a run. Without a run id, each report is a new one. */
export interface CheckReport {
  model: string;
  checks: readonly ReportedCheck[];
  runId: string | null;
  source: string;
}

/** Saves the checks of a run, if there is a report, and sends its event. */
export async function sendEvent(
  config: Config,
  event: DriftMonitoringCompleted,
  report: CheckReport | null,
): Promise<void> {
  // Redis is checked first, so that nothing is saved whose event cannot be sent.
  await withClient(config, event.model ?? "default", async (client) => {
    if (report !== null) await saveChecks(config, report);
    const jobId = await client.send(INBOX_JOBS.event, event);
    print(`Sent ${INBOX_JOBS.event} for ${event.model} as job ${jobId} (runId ${event.runId}).`);
    await warnIfNoWorkerRuns(client);
  });
}

/** Saves the checks of a run, those that are new. */
export async function saveChecks(config: ConfigWithoutRedis, report: CheckReport): Promise<void> {
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
