import { userInfo } from "node:os";
import { Command, Option } from "commander";
import { parseConfigWithoutRedis } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { findModel } from "../config/find-model.ts";
import { PermanentError } from "../core/errors.ts";
import { OutcomeReport } from "../core/outcome/outcome.ts";
import type { JudgedTraining } from "../core/outcome/tally.ts";
import { parseInput } from "../core/parse.ts";
import { importOutcomes, type ImportResult } from "../use-cases/import-outcomes.ts";
import { findTraining, type Reported, reportOutcome } from "../use-cases/report-outcome.ts";
import { audited } from "./audited.ts";
import { withDatabase } from "./connections.ts";
import { parseText } from "./output.ts";
import { printImport, printReported, printTrainings } from "./outcome-output.ts";
import { encode, orRemotely, type Service } from "./remote.ts";

interface Options {
  model?: string;
  metric?: string;
  before?: string;
  after?: string;
  lowerIsBetter?: true;
  higherIsBetter?: true;
  promoted?: true;
  notPromoted?: true;
  by?: string;
  import?: true;
  json?: true;
}

/** `retrigger outcome` */
export function createOutcome(): Command {
  const command = new Command("outcome")
    .description("report what a training brought; without a metric, list what trainings brought")
    .argument("[training]", "the decision or run that requested it; else the latest of --model")
    .option("-m, --model <name>", "the model")
    .option("--metric <name>", "the metric, such as rmse or auc")
    .option("--before <figure>", "the metric of the model in use")
    .option("--after <figure>", "the metric of the trained model")
    .addOption(new Option("--lower-is-better", "if the metric is not well known").conflicts("higherIsBetter"))
    .addOption(new Option("--higher-is-better", "if the metric is not well known"))
    .addOption(new Option("--promoted", "the trained model is in use now").conflicts("notPromoted"))
    .addOption(new Option("--not-promoted", "it is not"))
    .option("--by <name>", "who reports it", parseText)
    .option("--import", "read the views of outcomes now, instead of within the hour")
    .option("--json", "print JSON");
  return orRemotely(command, run, runRemotely);
}

async function run(training: string | undefined, options: Options): Promise<void> {
  const config = parseConfigWithoutRedis(loadEnvironment());
  const { models } = config;
  const { model, by, json } = options;
  const task = chooseTask(training, options);
  await withDatabase(config, async (database) => {
    if (task === "import") {
      if (model !== undefined) findModel(models, model);
      const done = { action: "outcome import", target: model ?? "every model" };
      const views = await audited(database, done, () => importOutcomes(database, models, model ?? null));
      return printImport(views, json);
    }
    if (task === "list") {
      const lists = new Map<string, JudgedTraining[]>();
      for (const name of model === undefined ? models.keys() : [model])
        lists.set(name, await database.listOutcomes(name));
      if (model !== undefined && lists.get(model)?.length === 0) findModel(models, model);
      return printTrainings(lists, json);
    }
    const report = parseInput(OutcomeReport, toReport(options), "report");
    const found = await findTraining(database, models, { model, ...toName(training) });
    const done = { action: "outcome", target: `decision ${found.decisionId}`, ...(by ? { by } : {}) };
    const reported = await audited(database, done, () =>
      reportOutcome(database, found, report, { source: "command", by: by ?? userInfo().username }),
    );
    printReported(reported, json);
  });
}

async function runRemotely(service: Service, training: string | undefined, options: Options): Promise<void> {
  const { model, by, json } = options;
  const task = chooseTask(training, options);
  if (task === "import") {
    const { views } = await service.call("POST", "/outcomes/import", model === undefined ? {} : { model });
    return printImport(views as ImportResult[], json);
  }
  if (task === "list") {
    const { models } = model === undefined ? await service.call("GET", "/models") : { models: [{ model }] };
    const lists = new Map<string, JudgedTraining[]>();
    for (const { model: name } of models as { model: string }[]) {
      const { trainings } = await service.call("GET", `/models/${encode(name)}/outcomes`);
      lists.set(name, trainings as JudgedTraining[]);
    }
    return printTrainings(lists, json);
  }
  const body = { ...toReport(options), ...toName(training), by };
  const path = model === undefined ? "/outcomes" : `/models/${encode(model)}/outcomes`;
  printReported((await service.call("POST", path, body)) as unknown as Reported, json);
}

/** @throws PermanentError if a training is named, but nothing is reported about it. */
function chooseTask(training: string | undefined, options: Options): "report" | "list" | "import" {
  const isReport = Object.values(toReport(options)).some((value) => value !== undefined);
  if (options.import) {
    if (isReport || training !== undefined)
      throw new PermanentError(
        "BAD_INPUT",
        "--import reads views, so it takes only --model: leave the rest out",
      );
    return "import";
  }
  if (isReport) return "report";
  if (training !== undefined)
    throw new PermanentError(
      "BAD_INPUT",
      "Nothing is reported: add --metric with --before and --after, or --promoted or --not-promoted",
    );
  return "list";
}

function toReport(options: Options) {
  const { metric, before, after, lowerIsBetter, higherIsBetter, promoted, notPromoted } = options;
  const isPromoted = promoted ?? (notPromoted ? false : undefined);
  const direction = lowerIsBetter ? "lower" : higherIsBetter ? "higher" : undefined;
  return { metric, before: toFigure(before), after: toFigure(after), direction, promoted: isPromoted };
}

/** The number, or the text itself if it is none. */
function toFigure(text: string | undefined): number | string | undefined {
  return text === undefined || text.trim() === "" || !Number.isFinite(Number(text)) ? text : Number(text);
}

/** @throws PermanentError if it is neither the number of a decision nor a run's UUID. */
function toName(training: string | undefined): { decisionId?: number; runId?: string } {
  if (training === undefined) return {};
  if (/^#?[1-9]\d{0,8}$/.test(training)) return { decisionId: Number(training.replace("#", "")) };
  if (/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(training)) return { runId: training };
  throw new PermanentError(
    "BAD_INPUT",
    `${training} is neither the number of a decision nor the UUID of a run. See: npx retrigger history`,
  );
}
