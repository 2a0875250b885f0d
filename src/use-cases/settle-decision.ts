import type { Config } from "../config/config.ts";
import type { LiveConfig } from "../config/live-config.ts";
import { PermanentError } from "../core/errors.ts";
import type { Database } from "../postgres/database.ts";
import { createRedactor } from "../process/redact.ts";
import { createTrainers } from "../trainers/registry.ts";
import type { Requester } from "./client.ts";
import { confirmDispatch, reopenDispatch, requireRemote } from "./settle-dispatch.ts";

export interface SettleDependencies {
  config: Omit<Config, "models" | "secrets" | "notes">;
  secrets: Config["secrets"];
  live: Pick<LiveConfig, "models">;
  database: Database;
  client: Pick<Requester, "resumeTraining">;
}

/** What a person does about a dispatch that does not go on by itself. */
export type Settlement = { kind: "retry" | "resend" } | { kind: "confirm"; training: string };

/** In which state each may be done. */
const FROM = { retry: "rejected", resend: "unknown" } as const;

/**
 * Settles the dispatch of a decision, and lets its job go on. Returns its state then, and the training that was confirmed.
 *
 * @throws PermanentError if the decision has no dispatch, or one that needs no such thing.
 */
export async function settleDecision(
  { config, secrets, live, database, client }: SettleDependencies,
  id: number,
  settlement: Settlement,
): Promise<{ state: string; externalId: string | null }> {
  const record = await database.findDispatch(String(id));
  if (!record) throw new PermanentError("NOT_FOUND", `Decision ${id} has no dispatch`);
  const trainers = await createTrainers({ ...config, models: live.models() }, createRedactor(secrets));
  const remote = requireRemote(trainers, record);
  let externalId: string | null = null;
  if (settlement.kind === "confirm") {
    const training = remote.identify(settlement.training);
    await confirmDispatch(config, database, record, training);
    ({ externalId } = training);
  } else await reopenDispatch(config, database, record, FROM[settlement.kind]);
  await client.resumeTraining(record);
  const settled = await database.readDispatch(record.runId);
  return { state: settled?.dispatch.state ?? "gone", externalId };
}
