import { INBOX_JOBS } from "../../queues/names.ts";
import { findModel } from "../config/find-model.ts";
import type { LiveConfig } from "../config/live-config.ts";
import type { ModelConfig } from "../config/model-config.ts";
import { toMs } from "../core/duration.ts";
import { PermanentError } from "../core/errors.ts";
import { snooze as snoozeGuard } from "../core/guards/snooze.ts";
import type { Database } from "../postgres/database.ts";
import type { Snooze } from "../postgres/interventions.ts";
import type { Requester } from "./client.ts";
import { refuse } from "./settle-dispatch.ts";

/** What people decide about models, for the command line and the API. */
export interface InterventionDependencies {
  models: ReadonlyMap<string, ModelConfig>;
  database: Pick<Database, "saveSnooze" | "endSnooze" | "isHeldBy" | "answerApproval">;
  client: Pick<Requester, "send">;
}

/** The same, with the models in force. */
export function withLiveModels({
  live,
  database,
  client,
}: Omit<InterventionDependencies, "models"> & {
  live: Pick<LiveConfig, "models">;
}): InterventionDependencies {
  return { models: live.models(), database, client };
}

/** Who intervenes, and why. */
export interface Given {
  by: string;
  reason: string;
}

/** Lets no training of a model start for a while. @throws PermanentError if its policy forbids that. */
export async function snoozeModel(
  { models, database, client }: InterventionDependencies,
  model: string,
  { duration, by, reason }: Given & { duration: string },
): Promise<Snooze> {
  if (findModel(models, model).policy.guards[snoozeGuard.key] === "off")
    throw refuse(`The policy of ${model} has snooze: off, so it cannot be snoozed`);
  const snoozed = await database.saveSnooze({ model, forSeconds: toMs(duration) / 1000, reason, by });
  // The decision that sees the snooze schedules the re-evaluation at its end.
  await client.send(INBOX_JOBS.manual, { model });
  return snoozed;
}

/** Ends a snooze. Returns whether the model is re-evaluated. @throws PermanentError if it is not snoozed. */
export async function unsnoozeModel(
  { models, database, client }: InterventionDependencies,
  model: string,
  by: string,
): Promise<boolean> {
  findModel(models, model);
  if (!(await database.endSnooze(model, by))) throw refuse(`${model} is not snoozed`);
  const isHeld = await database.isHeldBy(model, snoozeGuard.reason);
  if (isHeld) await client.send(INBOX_JOBS.manual, { model });
  return isHeld;
}

/**
 * Approves or rejects the training that a decision awaits. Returns the model, and the job of the decision that follows.
 *
 * @throws PermanentError if it awaits none.
 */
export async function answerApproval(
  { database, client }: Pick<InterventionDependencies, "database" | "client">,
  decisionId: number,
  { state, by, reason }: Given & { state: "approved" | "rejected" },
): Promise<{ model: string; jobId: string }> {
  const result = await database.answerApproval({ decisionId, state, by, reason });
  switch (result.outcome) {
    case "unknown":
      throw new PermanentError(
        "NOT_FOUND",
        `Decision ${decisionId} awaits no approval. See: npx retrigger history`,
      );
    case "closed":
      throw refuse(describeClosed(decisionId, result));
    case "answered":
      return { model: result.model, jobId: await client.send(INBOX_JOBS.manual, { model: result.model }) };
    default:
      return result satisfies never;
  }
}

function describeClosed(decisionId: number, { state, by }: { state: string; by: string | null }): string {
  const who = by === null ? "" : ` by ${by}`;
  switch (state) {
    case "expired":
      return `The approval that decision ${decisionId} awaited has expired. If the policy still holds, the next decision requests it again`;
    case "used":
      return `The approval of decision ${decisionId} was given${who}, and its training was requested`;
    case "void":
      return `Decision ${decisionId} no longer awaits an approval: the policy does not hold any more`;
    default:
      return `The approval of decision ${decisionId} was ${state}${who} already`;
  }
}
