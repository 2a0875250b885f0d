import type { DecisionRequest } from "../../queues/jobs.ts";
import { INBOX_JOBS } from "../../queues/names.ts";
import type { Database } from "../postgres/database.ts";
import type { Requester } from "./client.ts";
import type { Given } from "./interventions.ts";

/**
 * Puts a request for a decision on the inbox, and returns its job's id. A forced one follows after its override is recorded,
 * which the decision reads.
 */
export async function requestDecision(
  {
    database,
    client,
  }: { database: Pick<Database, "saveOverride" | "dropOverride">; client: Pick<Requester, "send"> },
  model: string,
  forced: Given | null,
): Promise<string> {
  const send = () => client.send(INBOX_JOBS.manual, { model } satisfies DecisionRequest);
  if (forced === null) return send();
  const id = await database.saveOverride({ model, ...forced });
  try {
    return await send();
  } catch (error) {
    // Else a later decision that was not asked to be forced would use it.
    await database.dropOverride(id);
    throw error;
  }
}
