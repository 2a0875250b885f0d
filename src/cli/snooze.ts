import { Command } from "commander";
import { parseConfig } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { formatInstant } from "../core/format.ts";
import { snoozeModel, unsnoozeModel } from "../use-cases/interventions.ts";
import { audited } from "./audited.ts";
import { warnIfRequestWaits, withClient, withDatabase } from "./connections.ts";
import { parseDuration, parseText, print } from "./output.ts";
import { encode, orRemotely } from "./remote.ts";

/** `retrigger snooze` */
export function createSnooze(): Command {
  const command = new Command("snooze")
    .description("let no training of a model start for a while; then it is re-evaluated by itself")
    .argument("<model>", "the model")
    .requiredOption("--for <duration>", "how long: 3d, 12h, 30m", parseDuration)
    .requiredOption("--reason <text>", "why, for the report", parseText)
    .requiredOption("--by <name>", "who snoozes it", parseText);
  return orRemotely(
    command,
    async (model: string, options: SnoozeOptions) => {
      const config = parseConfig(loadEnvironment());
      const { by, reason, for: duration } = options;
      await withClient(config, model, (client) =>
        withDatabase(config, async (database) => {
          const dependencies = { models: config.models, database, client };
          const { until } = await audited(database, { action: "snooze", target: model, by }, () =>
            snoozeModel(dependencies, model, { duration, by, reason }),
          );
          print(
            `${model} is snoozed until ${formatInstant(until)}. To end it earlier: npx retrigger unsnooze ${model}`,
          );
          await warnIfRequestWaits(config, client);
        }),
      );
    },
    async (service, model, { for: duration, reason, by }) => {
      const body = { for: duration, reason: `${reason} (${by})` };
      const { until } = await service.call("POST", `/models/${encode(model)}/snooze`, body);
      print(`${model} is snoozed until ${formatInstant(String(until))}.`);
    },
  );
}

interface SnoozeOptions {
  for: string;
  reason: string;
  by: string;
}

/** `retrigger unsnooze` */
export function createUnsnooze(): Command {
  const command = new Command("unsnooze")
    .description("end the snooze of a model, and re-evaluate it")
    .argument("<model>", "the model")
    .option("--by <name>", "who ends it", parseText, "retrigger unsnooze");
  return orRemotely(
    command,
    async (model: string, { by }: { by: string }) => {
      const config = parseConfig(loadEnvironment());
      await withClient(config, model, (client) =>
        withDatabase(config, async (database) => {
          const dependencies = { models: config.models, database, client };
          const isHeld = await audited(database, { action: "unsnooze", target: model, by }, () =>
            unsnoozeModel(dependencies, model, by),
          );
          printUnsnoozed(model, isHeld);
          await warnIfRequestWaits(config, client);
        }),
      );
    },
    async (service, model) => {
      const { isReevaluated } = await service.call("DELETE", `/models/${encode(model)}/snooze`);
      printUnsnoozed(model, isReevaluated === true);
    },
  );
}

function printUnsnoozed(model: string, isReevaluated: boolean): void {
  print(`${model} is no longer snoozed${isReevaluated ? ", and is re-evaluated" : ""}.`);
}
