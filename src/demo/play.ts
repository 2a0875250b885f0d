import type { Config } from "../config/config.ts";
import { messageOf } from "../core/errors.ts";
import type { DecisionSummary } from "../core/report/decision-summary.ts";
import type { Client } from "../use-cases/client.ts";
import { decide, followTraining } from "./decide.ts";
import type { Say } from "./prepare.ts";
import { resultLines } from "./result.ts";

/** Decides about one model, prints the whole report, and follows the training, if any, to its end. */
export async function playOnce(client: Client, { models }: Config, say: Say): Promise<void> {
  say();
  const summary = await decide(client, chooseModel(models), say);
  say(`\n${summary.report}`);
  await followTraining(client, summary, say);
}

/** The model of the demo's one event. */
export function chooseModel(models: Config["models"]): string {
  const [first = "default"] = models.keys();
  return models.has("default") ? "default" : first;
}

/**
 * Decides about every model in turn, and prints a short result of each, or with `isOnce` the whole reports. A model that
 * fails does not keep the others from being decided about; with `isOnce` the exit code is then 1.
 *
 * @param exports The variables that another shell needs to work with the same servers.
 */
export async function playModels(
  client: Client,
  { models, timeZone }: Config,
  { exports, isOnce, say }: { exports: Record<string, string>; isOnce: boolean; say: Say },
): Promise<void> {
  const decided: DecisionSummary[] = [];
  for (const model of models.keys()) {
    say(`\n${`━━ ${model} `.padEnd(WIDTH, "━")}`);
    try {
      const summary = await decide(client, model, say);
      decided.push(summary);
      say(`\n${isOnce ? summary.report : resultLines(summary, timeZone).join("\n")}`);
    } catch (error) {
      say(`\n❌ ${messageOf(error)}`);
      if (isOnce) process.exitCode = 1;
    }
  }
  for (const summary of decided) await followTraining(client, summary, say);
  if (!isOnce) sayCommands(decided, exports, say);
}

const WIDTH = 70;

/** What to type in another shell, while the demo serves. */
function sayCommands(decided: readonly DecisionSummary[], exports: Record<string, string>, say: Say): void {
  say(`\n${"━".repeat(WIDTH)}`);
  say("The commands work with this demo in another shell, in this directory, after:\n");
  for (const [name, value] of Object.entries(exports))
    say(`  export ${name}='${value.replaceAll("'", `'\\''`)}'`);
  say("\nThen, for example:\n");
  for (const { model, decisionId, guards } of decided)
    if (guards.some(({ id, passed }) => id === "approval" && !passed))
      say(`  npx retrigger approve ${decisionId} --by YOU --reason "the drift is real"  # ${model}`);
  say("  npx retrigger why --all");
  say("  npx retrigger history");
}
