import { Command } from "commander";
import { type Config, parseConfig, parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { findModel } from "../config/find-model.ts";
import { describeFinding, type Finding } from "../core/finding.ts";
import { createLogger } from "../process/logger.ts";
import { diagnose } from "../use-cases/doctor/doctor.ts";
import { suggestViews } from "../use-cases/doctor/suggest-view.ts";
import { FEW_MODELS, summarize } from "../use-cases/doctor/summarize.ts";
import { withDatabase } from "./connections.ts";
import { print, printNote, printNotes } from "./output.ts";

interface DoctorOptions {
  model?: string;
  verbose?: true;
  suggestView?: true;
}

const ICONS = { ok: "✅", warning: "⚠️ ", fault: "❌" } as const;

/** `retrigger doctor` */
export function createDoctor(): Command {
  return new Command("doctor")
    .description("check servers, sources, migrations, policies, schedules and trainers, and suggest fixes")
    .option("-m, --model <name>", "only this model, in full")
    .option("--verbose", `show everything; with more than ${FEW_MODELS} models, only what is wrong is shown`)
    .option("--suggest-view", "print a view for each source table of another shape, as SQL")
    .action((options: DoctorOptions) => (options.suggestView ? printViews(options) : printFindings(options)));
}

async function printFindings({ model, verbose }: DoctorOptions): Promise<void> {
  const all = parseConfig(loadEnvironment());
  printNotes(all);
  const config = { ...all, models: selectModels(all.models, model) };
  const findings = await diagnose(config, createLogger("silent"), { checksAllTrainers: verbose === true });
  const isShort = verbose === true || config.models.size <= FEW_MODELS;
  for (const finding of isShort ? findings : summarize(findings, config.models.size)) printFinding(finding);
  if (findings.some(({ level }) => level === "fault")) process.exitCode = 1;
}

function printFinding(finding: Finding): void {
  print(`${ICONS[finding.level]} ${describeFinding(finding)}`);
  if (finding.remedy) print(`   → ${finding.remedy}`);
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
