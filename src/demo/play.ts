import type { Config } from "../config/config.ts";
import { messageOf } from "../core/errors.ts";
import type { DecisionSummary } from "../core/report/decision-summary.ts";
import type { Client } from "../use-cases/client.ts";
import { followDecision, followTraining, sendEvent } from "./decide.ts";
import type { Say } from "./prepare.ts";
import { resultLines } from "./result.ts";

/** The ids of the jobs of the demo's events, by their models. */
export type SentEvents = ReadonlyMap<string, string>;

/** Sends an event about each of these models. */
export async function sendEvents(client: Client, models: Iterable<string>): Promise<SentEvents> {
  const sent = new Map<string, string>();
  for (const model of models) sent.set(model, await sendEvent(client, model));
  return sent;
}

/** Prints the whole report about the one event, and follows the training, if any, to its end. */
export async function playOnce(client: Client, events: SentEvents, say: Say): Promise<void> {
  const [jobId = ""] = events.values();
  say();
  const summary = await followDecision(client, jobId, say);
  say(`\n${summary.report}`);
  await followTraining(client, summary, say);
}

/** The model of the demo's one event. */
export function chooseModel(models: Config["models"]): string {
  const [first = "default"] = models.keys();
  return models.has("default") ? "default" : first;
}

/**
 * Prints a short result about every event in turn, or with `isOnce` the whole reports. A model that fails does not keep the
 * others from being decided about; with `isOnce` the exit code is then 1.
 *
 * @param exports The variables that another shell needs to work with the same servers.
 */
export async function playModels(
  client: Client,
  events: SentEvents,
  { timeZone }: Config,
  { exports, isOnce, say }: { exports: Record<string, string>; isOnce: boolean; say: Say },
): Promise<void> {
  const decided: DecisionSummary[] = [];
  for (const [model, jobId] of events) {
    say(`\n${`━━ ${model} `.padEnd(WIDTH, "━")}`);
    try {
      const summary = await followDecision(client, jobId, say);
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
