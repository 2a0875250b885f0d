import { Command } from "commander";
import { ReportedGrowth } from "../../queues/reports.ts";
import { parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { findModel } from "../config/find-model.ts";
import { formatCount } from "../core/format.ts";
import { parseInput } from "../core/parse.ts";
import { audited } from "./audited.ts";
import { withDatabase } from "./connections.ts";
import { modelOption, print, printNote } from "./output.ts";
import { encode, orRemotely } from "./remote.ts";

interface Options {
  model: string;
  rows: string;
  batch?: string;
  id?: string;
  at?: string;
}

/** `retrigger report-buffer` */
export function createReportBuffer(): Command {
  const command = new Command("report-buffer")
    .description("save that new data has arrived, for a model with source: { buffer: reported }")
    .addOption(modelOption())
    .requiredOption("--rows <count>", "how many rows have arrived")
    .option("--batch <name>", "their batch")
    .option("--id <id>", "the report's id; the same id twice counts once")
    .option("--at <time>", "when they arrived, ISO 8601; the current time by default");
  return orRemotely(
    command,
    async ({ model, rows, batch, id, at }: Options) => {
      const config = parseConfigWithoutRedis(loadEnvironment());
      const { buffer } = findModel(config.models, model).source;
      const growth = parseInput(ReportedGrowth, { batch, id, at, rows: toNumber(rows) }, "report");
      const isNew = await withDatabase(config, (database) =>
        audited(database, { action: "report-buffer", target: model }, () =>
          database.saveGrowth(model, growth),
        ),
      );
      const what = `${formatCount(growth.rows)} ${buffer.unit} of ${model}`;
      print(isNew ? `Saved: ${what}.` : `Known: ${what}, reported as ${growth.id ?? ""} before.`);
      if (buffer.kind === "table")
        printNote(`${model} counts ${buffer.table}, not reports: set buffer: reported in its source`);
    },
    async (service, { model, rows, batch, id, at }) => {
      const body = { rows: toNumber(rows), batch, id, at };
      const { added } = await service.call("POST", `/models/${encode(model)}/buffer`, body);
      print(
        added === 0
          ? `Known: ${id ?? rows} of ${model} was reported before.`
          : `Saved: ${formatCount(Number(added))} of ${model}.`,
      );
    },
  );
}

/** The number, or the text itself if it is none. */
function toNumber(text: string): number | string {
  return Number.isNaN(Number(text)) ? text : Number(text);
}
