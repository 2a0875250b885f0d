import type { Database } from "../src/postgres/database.ts";
import type { DecisionLock } from "../src/redis/decision-lock.ts";
import { createRunId } from "../queues/run-id.ts";
import type { Chain } from "../queues/chain.ts";

/** Releases the lock and wakes the follow-up that waits for it. */
export async function endRun(lock: DecisionLock, chain: Chain, model: string, runId: string): Promise<void> {
  const followUp = await lock.leave(model, runId);
  if (followUp !== null) await chain.wakeFollowUp(followUp);
}

/** Requests a run that re-evaluates the model and takes over the events of the run `from`. Returns its id. */
export async function reevaluate(
  { lock, chain, database }: { lock: DecisionLock; chain: Chain; database: Pick<Database, "moveEvents"> },
  model: string,
  from?: string,
): Promise<string> {
  for (let source = from; ;) {
    const runId = await lock.fold(model, createRunId());
    if (source !== undefined) await database.moveEvents(source, runId);
    if ((await chain.requestFollowUp(model, runId, "superseded")) === "waiting") return runId;
    // It ran meanwhile, and may have handed over its events before these came.
    source = runId;
  }
}
