import type { Chain } from "../queues/chain.ts";
import type { Evaluated, StageJob } from "../queues/jobs.ts";
import { createRunId } from "../queues/run-id.ts";
import type { Database } from "../src/postgres/database.ts";
import type { RecordedDecision } from "../src/postgres/decisions.ts";
import type { DecisionLock } from "../src/redis/decision-lock.ts";

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
    // It ran in the meantime, and may have handed over its events before these arrived.
    source = runId;
  }
}

/** Replaces the follow-up scheduled by the previous decision with this decision's. */
export async function replaceNextLook(
  chain: Pick<Chain, "cancelNextLook" | "scheduleNextLook">,
  { model, cause }: StageJob,
  { evidence, verdict }: Evaluated,
  { id: decisionId, nextLookInMs }: Pick<RecordedDecision, "id" | "nextLookInMs">,
): Promise<void> {
  const [previous] = evidence.lastDecisions;
  const isReplaced = previous !== undefined && previous.nextLookAt !== null;
  const cancelling = isReplaced ? chain.cancelNextLook(model, previous.id) : false;
  const schedule = async (): Promise<void> => {
    if (nextLookInMs === null || verdict.nextLookAt === null) return;
    // The last follow-up ran early, because the clock of a worker is ahead: the next one must not repeat that at once.
    const isEarly =
      cause === "followup" && isSameInstant(previous?.nextLookAt, verdict.nextLookAt) && (await cancelling);
    await chain.scheduleNextLook({
      model,
      decisionId,
      waitMs: isEarly ? Math.max(nextLookInMs, EARLY_LOOK_PAUSE_MS) : nextLookInMs,
    });
  };
  await Promise.all([cancelling, schedule()]);
}

const EARLY_LOOK_PAUSE_MS = 15_000;

function isSameInstant(a: string | null | undefined, b: string): boolean {
  return typeof a === "string" && Date.parse(a) === Date.parse(b);
}
