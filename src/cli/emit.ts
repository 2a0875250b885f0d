import { Command, Option } from "commander";
import { DriftMonitoringCompleted } from "../../queues/jobs.ts";
import { createRunId } from "../../queues/run-id.ts";
import { parseConfig } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { PermanentError } from "../core/errors.ts";
import { parseInput } from "../core/parse.ts";
import type { Detector, DetectorReport } from "../detectors/detector.ts";
import { parseDocument } from "../detectors/document.ts";
import { DETECTORS } from "../detectors/registry.ts";
import { modelOption, print, printNote } from "./output.ts";
import { encode, orRemotely, type Service } from "./remote.ts";
import { printSent, readText, sendEventOf } from "./send-checks.ts";

/** `retrigger emit` */
export function createEmit(): Command {
  const command = new Command("emit")
    .description(
      "send a drift_monitoring.completed event, as a drift run would; with a detector's report, save its checks first",
    )
    .addOption(modelOption())
    .option("--run-id <id>", "the drift run's id; the same id twice is one event")
    .option("--status <status>", "success or failed", "success")
    .option("--completed-at <time>", "ISO 8601; the current time by default")
    .option("--source <name>", "the sender", "retrigger emit");
  for (const detector of DETECTORS) {
    const option = new Option(`--${detector.name} <file>`, `${detector.title}: ${detector.versions}`);
    command.addOption(
      option.conflicts(DETECTORS.filter((other) => other !== detector).map(({ name }) => keyOf(name))),
    );
  }
  return orRemotely(command, emit, emitRemotely);
}

async function emit(options: Record<string, string | undefined>): Promise<void> {
  const { model, runId, status, completedAt, source } = options;
  const config = parseConfig(loadEnvironment());
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
  const detector = DETECTORS.find(({ name }) => options[keyOf(name)] !== undefined);
  const report = detector ? await readReport(detector, options[keyOf(detector.name)] ?? "") : null;
  if (detector && report) printReport(detector, report);
  const checks = report?.checks ?? null;
  await sendEventOf(config, event, checks && { checks, runId: event.runId });
}

async function emitRemotely(service: Service, options: Record<string, string | undefined>): Promise<void> {
  const { model = "default", runId = `emit-${createRunId()}`, status, completedAt, source = "" } = options;
  const detector = DETECTORS.find(({ name }) => options[keyOf(name)] !== undefined);
  if (!detector)
    return printSent(await service.call("POST", "/events", { model, runId, status, completedAt, source }));
  const document = await readText(options[keyOf(detector.name)] ?? "", `--${detector.name}`);
  const given = { model, runId, source, status, completedAt };
  const query = Object.entries(given).flatMap(([name, value]) =>
    value === undefined ? [] : [`${name}=${encode(value)}`],
  );
  const sent = await service.call("POST", `/events/${detector.name}?${query.join("&")}`, document);
  print(`${detector.title}: ${String(sent["checks"])} check(s), ${String(sent["alerts"])} with drift.`);
  for (const text of sent["ignored"] as string[]) printNote(`Not used: ${text}`);
  printSent(sent);
}

/** `alibi-detect` -> `alibiDetect`, as commander calls an option. */
function keyOf(name: string): string {
  return new Option(`--${name}`).attributeName();
}

async function readReport({ name, title, parse }: Detector, file: string): Promise<DetectorReport> {
  const document = parseDocument(await readText(file, `--${name}`));
  if (document === undefined)
    throw new PermanentError("BAD_INPUT", `--${name}: ${file} is no JSON: expected a report of ${title}`);
  return parse(document);
}

function printReport({ title }: Detector, { checks, ignored }: DetectorReport): void {
  const alerts = checks.filter(({ triggered }) => triggered).length;
  print(`${title}: ${checks.length} check(s), ${alerts} with drift.`);
  for (const text of ignored) printNote(`Not used: ${text}`);
}
