import { Command } from "commander";
import { type Config, parseConfig, parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { findModel } from "../config/find-model.ts";
import { ConfigError } from "../core/errors.ts";
import { fault } from "../core/finding.ts";
import { wrapLine } from "../core/report/wrap.ts";
import { createLogger } from "../process/logger.ts";
import { diagnose } from "../use-cases/doctor/doctor.ts";
import { REMEDY, renderFindings } from "../use-cases/doctor/render.ts";
import { suggestViews } from "../use-cases/doctor/suggest-view.ts";
import { FEW_MODELS } from "../use-cases/doctor/summarize.ts";
import { withDatabase } from "./connections.ts";
import { print, printNote, printNotes } from "./output.ts";

interface DoctorOptions {
  model?: string;
  verbose?: true;
  suggestView?: true;
  json?: true;
}

/** `retrigger doctor` */
export function createDoctor(): Command {
  return new Command("doctor")
    .description("check servers, sources, migrations, policies, schedules and trainers, and suggest fixes")
    .option("-m, --model <name>", "only this model, in full")
    .option("--verbose", `show everything; with more than ${FEW_MODELS} models, only what is wrong is shown`)
    .option("--json", "print every finding as one JSON object")
    .option("--suggest-view", "print a view for each source table of another shape, as SQL")
    .action((options: DoctorOptions) => (options.suggestView ? printViews(options) : printFindings(options)));
}

async function printFindings({ model, verbose, json }: DoctorOptions): Promise<void> {
  const all = readSettings(json === true);
  if (all === null) return;
  printNotes(all);
  const config = { ...all, models: selectModels(all.models, model) };
  const findings = await diagnose(config, createLogger("silent"), { checksAllTrainers: verbose === true });
  const options = { models: config.models.size, showsAll: verbose === true };
  if (json) print(JSON.stringify({ findings }, null, 2));
  else for (const line of renderFindings(findings, options).flatMap(fitTerminal)) print(line);
  if (findings.some(({ level }) => level === "fault")) process.exitCode = 1;
}

/** Wraps a line for a person: a remedy, which may be a command to copy, stays whole, and so does all that a program reads. */
function fitTerminal(line: string): string[] {
  return process.stdout.isTTY && !line.startsWith(REMEDY) ? wrapLine(line) : [line];
}

/** The settings; null if they have faults, which are then printed as findings. @throws ConfigError unless `asJson`. */
function readSettings(asJson: boolean): Config | null {
  try {
    return parseConfig(loadEnvironment());
  } catch (error) {
    if (!asJson || !(error instanceof ConfigError)) throw error;
    print(JSON.stringify({ findings: error.faults.map((text) => fault(text)) }, null, 2));
    process.exitCode = 1;
    return null;
  }
}

async function printViews({ model }: DoctorOptions): Promise<void> {
  const config = parseConfigWithoutRedis(loadEnvironment());
  const models = selectModels(config.models, model);
  const lines = await withDatabase(config, (database) => suggestViews({ models }, database));
  for (const line of lines) print(line);
  if (lines.length === 0) printNote("Every source table that exists has columns that Retrigger can read");
}

function selectModels(models: Config["models"], model: string | undefined): Config["models"] {
  return model === undefined ? models : new Map([[model, findModel(models, model)]]);
}
