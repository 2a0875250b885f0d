import { Command } from "commander";
import { type Config, parseConfig } from "../config/config.ts";
import { loadEnvironment } from "../config/environment.ts";
import type { Database } from "../postgres/database.ts";
import type { DispatchRecord } from "../postgres/dispatches.ts";
import { createRedactor } from "../process/redact.ts";
import { createTrainers } from "../trainers/registry.ts";
import type { RemoteTrainer } from "../trainers/trainer.ts";
import type { Client } from "../use-cases/client.ts";
import {
  confirmDispatch,
  refuse,
  reopenDispatch,
  requireRemote,
  untilSettled,
} from "../use-cases/settle-dispatch.ts";
import { audited } from "./audited.ts";
import { withClient, withDatabase, withLocalWorkers } from "./connections.ts";
import { print, printNote } from "./output.ts";
import { encode, orRemotely, type Service } from "./remote.ts";

/** `retrigger dispatch ...` */
export function createDispatch(): Command {
  const dispatch = new Command("dispatch").description(
    "settle a dispatch by hand; <id> is the number of its decision",
  );
  orRemotely(
    dispatch
      .command("retry <id>")
      .description("send a request again that the trainer refused, once you have fixed the cause"),
    (id: string) => sendAgain(id, "rejected"),
    (service, id) => sendAgainRemotely(service, id, "retry"),
  );
  orRemotely(
    dispatch
      .command("resend <id>")
      .description(
        "send the request of an unknown dispatch again, once you have checked that it started no training",
      ),
    (id: string) => sendAgain(id, "unknown"),
    (service, id) => sendAgainRemotely(service, id, "resend"),
  );
  orRemotely(
    dispatch
      .command("confirm <id> <run>")
      .description(
        "name the training that an unknown dispatch started, by id or URL, so that it is followed",
      ),
    confirm,
    async (service, id, run) => {
      const body = { training: run };
      const { externalId } = await service.call("POST", `/decisions/${encode(id)}/dispatch/confirm`, body);
      print(`Confirmed: decision ${id} started the training ${String(externalId)}. It will be followed.`);
    },
  );
  return dispatch;
}

async function sendAgainRemotely(service: Service, id: string, name: "retry" | "resend"): Promise<void> {
  const { state } = await service.call("POST", `/decisions/${encode(id)}/dispatch/${name}`);
  print(`Decision ${id}: ${String(state)}`);
  if (state === "pending") printNote("The request is on its way. See: npx retrigger history");
}

async function confirm(id: string, run: string): Promise<void> {
  const config = parseConfig(loadEnvironment());
  await withDispatch(config, id, async ({ record, remote, database, client }) => {
    const training = remote.identify(run);
    await audited(database, { action: "dispatch confirm", target: `decision ${id}` }, () =>
      confirmDispatch(config, database, record, training),
    );
    await client.resumeTraining(record);
    print(`Confirmed: decision ${id} started the training ${training.externalId}. It will be followed.`);
  });
}

async function sendAgain(id: string, from: "rejected" | "unknown"): Promise<void> {
  const config = parseConfig(loadEnvironment());
  await withDispatch(config, id, async ({ record, database, client }) => {
    const action = from === "rejected" ? "dispatch retry" : "dispatch resend";
    await audited(database, { action, target: `decision ${id}` }, () =>
      reopenDispatch(config, database, record, from),
    );
    const send = async (): Promise<void> => {
      await client.resumeTraining(record);
      printOutcome(id, await untilSettled(database, record.runId));
    };
    const hasWorkers = (await client.inbox.getWorkersCount()) > 0;
    await (hasWorkers ? send() : withLocalWorkers(config, send, { trainings: "followed" }));
  });
}

interface FoundDispatch {
  record: DispatchRecord;
  /** The trainer that the dispatch was made for. */
  remote: RemoteTrainer;
  database: Database;
  client: Client;
}

/** Finds the dispatch, and opens the database and the queues: without Redis, no worker would learn of the change. */
async function withDispatch(
  config: Config,
  id: string,
  use: (found: FoundDispatch) => Promise<void>,
): Promise<void> {
  const trainers = await createTrainers(config, createRedactor(config.secrets));
  await withDatabase(config, async (database) => {
    const record = await database.findDispatch(id);
    if (!record) throw refuse(`Decision ${id} has no dispatch. See: npx retrigger history`);
    const remote = requireRemote(trainers, record);
    await withClient(config, record.model, (client) => use({ record, remote, database, client }));
  });
}

/** Exit code 1 if the dispatch is rejected, unknown or still pending. */
function printOutcome(id: string, record: DispatchRecord | null): void {
  const { state, externalId = null, url = null, error = null } = record?.dispatch ?? { state: "gone" };
  print([`Decision ${id}: ${state}`, externalId, url].filter(Boolean).join(" "));
  if (error !== null && state !== "cancelled") printNote(error);
  if (state === "pending") printNote("The outcome is not known yet. See: npx retrigger history");
  if (state === "cancelled") printNote(`${error ?? ""}. A follow-up re-evaluates once a worker is running.`);
  if (state === "rejected" || state === "unknown" || state === "pending") process.exitCode = 1;
}
