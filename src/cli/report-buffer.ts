import { Command } from "commander";
import { ReportedGrowth } from "../../queues/reports.ts";
import { parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { findModel } from "../config/find-model.ts";
import { formatCount } from "../core/format.ts";
import { parseInput } from "../core/parse.ts";
import { withDatabase } from "./connections.ts";
import { modelOption, print, printNote } from "./output.ts";

interface Options {
  model: string;
  rows: string;
  batch?: string;
  id?: string;
  at?: string;
}

/** `retrigger report-buffer` */
export function createReportBuffer(): Command {
  return new Command("report-buffer")
    .description("save that new data has arrived, for a model with source: { buffer: reported }")
    .addOption(modelOption())
    .requiredOption("--rows <count>", "how many rows have arrived")
    .option("--batch <name>", "their batch")
    .option("--id <id>", "the report's id; the same id twice counts once")
    .option("--at <time>", "when they arrived, ISO 8601; the current time by default")
    .action(async ({ model, rows, ...others }: Options) => {
      const config = parseConfigWithoutRedis(loadEnvironment());
      const { buffer } = findModel(config.models, model).source;
      const growth = parseInput(ReportedGrowth, { ...others, rows: toNumber(rows) }, "report");
      const isNew = await withDatabase(config, (database) => database.saveGrowth(model, growth));
      const what = `${formatCount(growth.rows)} ${buffer.unit} of ${model}`;
      print(isNew ? `Saved: ${what}.` : `Known: ${what}, reported as ${growth.id ?? ""} before.`);
      if (buffer.kind === "table")
        printNote(`${model} counts ${buffer.table}, not reports: set buffer: reported in its source`);
    });
}

/** The number, or the text itself if it is none. */
function toNumber(text: string): number | string {
  return Number.isNaN(Number(text)) ? text : Number(text);
}
