import { draftDecision } from "../src/decision-draft.ts";
import type { Database } from "../src/postgres/database.ts";
import type { RecordedDecision } from "../src/postgres/decisions.ts";
import { hashPolicy } from "../src/policy-hash.ts";
import type { DecisionLock } from "../src/redis/decision-lock.ts";
import { createRunId } from "../src/run-id.ts";
import type { Trainer } from "../src/trainers/trainer.ts";
import { renderAction } from "../src/core/report.ts";
import type { Acted, Evaluated, Recording, StageJob } from "../queues/jobs.ts";
import type { Chain } from "./chain.ts";
import { toReportInput } from "./summarize.ts";
import type { StageOutput } from "./stage.ts";

export interface ActDependencies {
  lock: DecisionLock;
  chain: Chain;
  trainer: Trainer;
  database: Pick<Database, "recordDecision" | "moveEvents">;
  timeZone: string;
}

/** Records the decision, or where another run's came first, asks for a follow-up that looks again. */
export function createAct(dependencies: ActDependencies) {
  const { trainer, database, timeZone } = dependencies;
  return async (job: StageJob, evaluated: Evaluated): Promise<StageOutput<Acted>> => {
    const { evidence, policy, verdict } = evaluated;
    const recorded = await database.recordDecision({
      ...job,
      ...draftDecision(job.runId, evidence, verdict, trainer),
      evidence,
      policy,
      policyHash: hashPolicy(policy),
      verdict,
      trainer: trainer.name,
      // Nothing leaves the process for a mock, so its dispatch is complete when its row is.
      dispatchState: "sent",
    });
    const recording = recorded ? toRecording(recorded) : await supersede(dependencies, job);
    const acted = { ...evaluated, recording };
    return { result: acted, log: renderAction(toReportInput(job, acted, timeZone)) };
  };
}

function toRecording({ id, dispatchState, ...rest }: RecordedDecision): Recording {
  return { outcome: "recorded", decisionId: id, dispatch: dispatchState, ...rest };
}

async function supersede(
  { lock, chain, database }: ActDependencies,
  { model, runId }: StageJob,
): Promise<Recording> {
  const followUpRunId = await lock.fold(model, createRunId());
  await chain.requestFollowUp(model, followUpRunId);
  await database.moveEvents(runId, followUpRunId);
  return { outcome: "superseded", followUpRunId };
}
