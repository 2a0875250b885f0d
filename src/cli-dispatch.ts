import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import type { Client } from "./client.ts";
import { note, withDatabase, withInbox, withWorkersHere } from "./cli-connections.ts";
import { type Config, parseConfig } from "./config.ts";
import { PermanentError } from "./errors.ts";
import type { Database } from "./postgres/database.ts";
import type { Reopening } from "./postgres/dispatches.ts";
import type { FollowedDispatch } from "./postgres/trainings.ts";
import { loadSettings } from "./settings-file.ts";

/** How long it takes at the most until it is told how the trainer took the request. */
const TELL_LIMIT_MS = 60_000;

/** `retrigger dispatch ...`: what a person settles that no machine may. */
export function addDispatchCommands(program: Command): void {
  const dispatch = program
    .command("dispatch")
    .description("settle what only a person can: the dispatch of a decision, by the decision's number");

  dispatch
    .command("retry <id>")
    .description("ask the trainer again, after it refused and the cause was mended")
    .action((id: string) => askAgain(id, "rejected"));

  dispatch
    .command("resend <id>")
    .description("ask the trainer again, after you saw that an unknown dispatch started no training")
    .action((id: string) => askAgain(id, "unknown"));

  dispatch
    .command("confirm <id> <run>")
    .description(
      "say which training an unknown dispatch started, by its id or URL; it is followed from there",
    )
    .action(async (id: string, run: string) => {
      const config = parseConfig(loadSettings());
      // A run's page at GitHub ends in its id.
      const externalId = /\/runs\/(\d+)/.exec(run)?.[1] ?? run;
      if (config.trainer.name === "github" && !/^\d+$/.test(externalId))
        throw new PermanentError(
          "BAD_INPUT",
          `run is "${run}": it must be the number or the URL of a GitHub Actions run`,
        );
      await withDispatch(config, id, async ({ runId, model }, database, client) => {
        orThrow(await database.confirmDispatch(runId, externalId));
        await client.lookAtTraining({ runId, model });
      });
      console.log(
        `Confirmed: decision ${id} started the training ${externalId}. It is followed from now on.`,
      );
    });
}

async function askAgain(id: string, from: "rejected" | "unknown"): Promise<void> {
  const config = parseConfig(loadSettings());
  await withDispatch(config, id, async ({ runId, model, state }, database, client) => {
    // One that is pending is asked for, or looked for, by whoever works on it; that may be nobody any more.
    if (state !== "pending") orThrow(await database.reopenDispatch(runId, from));
    const ask = async (): Promise<void> => {
      await client.askAgain({ runId, model });
      tell(id, await untilSettled(database, runId));
    };
    await ((await client.inbox.getWorkersCount()) > 0 ? ask() : withWorkersHere(config, ask));
  });
}

/** Finds the dispatch, and opens what changes it: without Redis, nobody would hear of the change. */
async function withDispatch(
  config: Config,
  id: string,
  use: (dispatch: FollowedDispatch, database: Database, client: Client) => Promise<void>,
): Promise<void> {
  await withDatabase(config, async (database) => {
    const dispatch = await database.findDispatch(id);
    if (!dispatch)
      throw new PermanentError(
        "REFUSED",
        `There is no dispatch of a decision ${id}. See: npx retrigger history`,
      );
    const { name } = config.trainer;
    if (dispatch.trainer !== name)
      throw new PermanentError(
        "REFUSED",
        `Decision ${id} asked ${dispatch.trainer} for a training, and TRAINER is ${name}`,
      );
    await withInbox(config, dispatch.model, (client) => use(dispatch, database, client));
  });
}

async function untilSettled(database: Database, runId: string): Promise<FollowedDispatch | null> {
  for (const deadline = Date.now() + TELL_LIMIT_MS; ; await pause(200)) {
    const dispatch = await database.readDispatch(runId);
    if (dispatch?.state !== "pending" || Date.now() > deadline) return dispatch;
  }
}

function tell(id: string, dispatch: FollowedDispatch | null): void {
  const { state = "gone", externalId, url, error } = dispatch ?? {};
  console.log([`Decision ${id}: ${state}`, externalId, url].filter(Boolean).join(" "));
  if (error && state !== "cancelled") note(error);
  if (state === "pending") note("It is being asked for still. See: npx retrigger history");
  if (state === "cancelled") note(`${error ?? ""}. A follow-up decides anew, as soon as a worker runs.`);
  if (state === "rejected" || state === "unknown") process.exitCode = 1;
}

function orThrow(reopening: Reopening): void {
  if (reopening.outcome === "refused") throw new PermanentError("REFUSED", reopening.why);
}
