import { setTimeout as pause } from "node:timers/promises";
import type { Command } from "commander";
import type { Client } from "../use-cases/client.ts";
import { note, withDatabase, withInbox, withWorkersHere } from "./connections.ts";
import { type Config, parseConfig } from "../config/config.ts";
import { PermanentError } from "../core/errors.ts";
import { describeRival } from "../core/report/announce.ts";
import { advance, type DispatchInput, toDispatchLimits } from "../core/dispatch/advance.ts";
import type { Database } from "../postgres/database.ts";
import { clockOf, type DispatchRecord } from "../postgres/dispatches.ts";
import { loadSettings } from "../config/environment.ts";

/** How long the command waits for the trainer's answer. */
const ANSWER_LIMIT_MS = 60_000;

/** `retrigger dispatch ...`: what only a person can settle. */
export function addDispatchCommands(program: Command): void {
  const dispatch = program
    .command("dispatch")
    .description("settle what only a person can: the dispatch of a decision, by the decision's number");

  dispatch
    .command("retry <id>")
    .description("send the request again, after the trainer refused it and the cause was fixed")
    .action((id: string) => sendAgain(id, "rejected"));

  dispatch
    .command("resend <id>")
    .description("send the request again, after you saw that an unknown dispatch started no training")
    .action((id: string) => sendAgain(id, "unknown"));

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
      await withDispatch(config, id, async (record, database, client) => {
        if (
          !(await settle(config, database, record, {
            kind: "confirm",
            externalId,
            ...nameOutcome(config, run),
          }))
        )
          throw refusal("There is nothing to confirm: it is known what became of this dispatch");
        await client.lookAtTraining(record);
      });
      console.log(
        `Confirmed: decision ${id} started the training ${externalId}. It is followed from now on.`,
      );
    });
}

/** How the outcome of a confirmed training becomes known, with a webhook trainer that reports none. */
function nameOutcome({ trainer }: Config, run: string): { statusUrl?: string; isDone?: true } {
  if (trainer.name !== "webhook" || trainer.webhook.outcome === "callback") return {};
  if (trainer.webhook.outcome === "accepted") return { isDone: true };
  if (!/^https?:\/\//.test(run) || !URL.canParse(run))
    throw new PermanentError(
      "BAD_INPUT",
      `run is "${run}": with TRAINER_OUTCOME=status_url it must be the URL at which the training's status can be read`,
    );
  return { statusUrl: run };
}

const REOPENINGS = { rejected: "retry", unknown: "resend" } as const;

async function sendAgain(id: string, from: keyof typeof REOPENINGS): Promise<void> {
  const config = parseConfig(loadSettings());
  await withDispatch(config, id, async (record, database, client) => {
    await reopen(config, database, record, from);
    const send = async (): Promise<void> => {
      await client.lookAtTraining(record);
      report(id, await untilSettled(database, record.runId));
    };
    const hasWorkers = (await client.inbox.getWorkersCount()) > 0;
    await (hasWorkers ? send() : withWorkersHere(config, send, { trainings: "followed" }));
  });
}

/** Allows a dispatch to be requested again. One that is already pending may have lost its worker, and is only resumed. */
async function reopen(
  config: Config,
  database: Database,
  record: DispatchRecord,
  from: keyof typeof REOPENINGS,
): Promise<void> {
  const { state } = record.dispatch;
  if (state === "pending") return;
  if (state !== from) throw refusal(`The dispatch is ${state}, not ${from}`);
  const rival = await database.findLaterRequest(record.decisionId);
  if (rival !== null) throw refusal(describeRival(rival));
  if (!(await settle(config, database, record, { kind: REOPENINGS[from] })))
    throw refusal(`The dispatch is no longer ${from}`);
}

/** Applies a manual command. Returns whether it changed anything. */
async function settle(
  { patience }: Config,
  database: Database,
  record: DispatchRecord,
  input: DispatchInput,
): Promise<boolean> {
  const limits = toDispatchLimits(patience);
  // What is due next is the worker's to plan.
  const trainer = { followsById: true, reportsOutcomes: false, runsHere: false };
  const { patch } = await database.updateDispatch(record, (current) =>
    advance(current.dispatch, input, { now: clockOf(current), limits, trainer }),
  );
  return Object.keys(patch).length > 0;
}

function refusal(message: string): PermanentError {
  return new PermanentError("REFUSED", message);
}

/** Finds the dispatch, and opens the database and the queues: without Redis, no worker would learn of the change. */
async function withDispatch(
  config: Config,
  id: string,
  use: (record: DispatchRecord, database: Database, client: Client) => Promise<void>,
): Promise<void> {
  await withDatabase(config, async (database) => {
    const record = await database.findDispatch(id);
    if (!record) throw refusal(`There is no dispatch of a decision ${id}. See: npx retrigger history`);
    const { name } = config.trainer;
    if (record.trainer !== name)
      throw refusal(`Decision ${id} asked ${record.trainer} for a training, and TRAINER is ${name}`);
    await withInbox(config, record.model, (client) => use(record, database, client));
  });
}

async function untilSettled(database: Database, runId: string): Promise<DispatchRecord | null> {
  for (const deadline = Date.now() + ANSWER_LIMIT_MS; ; await pause(200)) {
    const record = await database.readDispatch(runId);
    if (record?.dispatch.state !== "pending" || Date.now() > deadline) return record;
  }
}

/** Exit code 1 if the dispatch is rejected, unknown or still pending. */
function report(id: string, record: DispatchRecord | null): void {
  const { state, externalId = null, url = null, error = null } = record?.dispatch ?? { state: "gone" };
  console.log([`Decision ${id}: ${state}`, externalId, url].filter(Boolean).join(" "));
  if (error !== null && state !== "cancelled") note(error);
  if (state === "pending") note("It is not settled yet. See: npx retrigger history");
  if (state === "cancelled") note(`${error ?? ""}. A follow-up decides anew, as soon as a worker runs.`);
  if (state === "rejected" || state === "unknown" || state === "pending") process.exitCode = 1;
}
