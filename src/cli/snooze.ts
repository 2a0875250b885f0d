import { Command } from "commander";
import { INBOX_JOBS } from "../../queues/names.ts";
import { parseConfig } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import { findModel } from "../config/find-model.ts";
import { toMs } from "../core/duration.ts";
import { formatInstant } from "../core/format.ts";
import { snooze as snoozeGuard } from "../core/guards/snooze.ts";
import { refuse } from "../use-cases/settle-dispatch.ts";
import { warnIfNoWorkerRuns, withClient, withDatabase } from "./connections.ts";
import { parseDuration, parseText, print } from "./output.ts";

/** `retrigger snooze` */
export function createSnooze(): Command {
  return new Command("snooze")
    .description("let no training of a model start for a while; then it is re-evaluated by itself")
    .argument("<model>", "the model")
    .requiredOption("--for <duration>", "how long: 3d, 12h, 30m", parseDuration)
    .requiredOption("--reason <text>", "why, for the report", parseText)
    .requiredOption("--by <name>", "who snoozes it", parseText)
    .action(async (model: string, options: { for: string; reason: string; by: string }) => {
      const config = parseConfig(loadEnvironment());
      if (findModel(config.models, model).policy.guards[snoozeGuard.key] === "off")
        throw refuse(`The policy of ${model} has snooze: off, so it cannot be snoozed`);
      const forSeconds = toMs(options.for) / 1000;
      await withClient(config, model, async (client) => {
        const { until } = await withDatabase(config, (database) =>
          database.saveSnooze({ model, forSeconds, reason: options.reason, by: options.by }),
        );
        // The decision that sees the snooze schedules the re-evaluation at its end.
        await client.send(INBOX_JOBS.manual, { model });
        print(
          `${model} is snoozed until ${formatInstant(until)}. To end it earlier: npx retrigger unsnooze ${model}`,
        );
        await warnIfNoWorkerRuns(client);
      });
    });
}

/** `retrigger unsnooze` */
export function createUnsnooze(): Command {
  return new Command("unsnooze")
    .description("end the snooze of a model, and re-evaluate it")
    .argument("<model>", "the model")
    .option("--by <name>", "who ends it", parseText, "retrigger unsnooze")
    .action(async (model: string, { by }: { by: string }) => {
      const config = parseConfig(loadEnvironment());
      await withClient(config, model, (client) =>
        withDatabase(config, async (database) => {
          if (!(await database.endSnooze(model, by))) throw refuse(`${model} is not snoozed`);
          const isHeld = await database.isHeldBy(model, snoozeGuard.reason);
          if (isHeld) await client.send(INBOX_JOBS.manual, { model });
          print(`${model} is no longer snoozed${isHeld ? ", and is re-evaluated" : ""}.`);
          await warnIfNoWorkerRuns(client);
        }),
      );
    });
}
