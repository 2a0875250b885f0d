import { draftDecision } from "../src/decision-draft.ts";
import { evaluate } from "../src/core/evaluate.ts";
import type { Superseded } from "../src/core/superseded.ts";
import type { Database } from "../src/postgres/database.ts";
import type { RecordedDecision } from "../src/postgres/decisions.ts";
import { hashPolicy } from "../src/policy-hash.ts";
import type { DecisionLock } from "../src/redis/decision-lock.ts";
import type { Trainer } from "../src/trainers/trainer.ts";
import { renderAction } from "../src/core/report.ts";
import type { Acted, Evaluated, Recording, StageJob } from "../queues/jobs.ts";
import type { Chain } from "./chain.ts";
import { dispatchTraining } from "./dispatch.ts";
import { lookAgain } from "./follow-up.ts";
import { toReportInput } from "./summarize.ts";
import type { StageOutput } from "./stage.ts";

export interface ActDependencies {
  lock: DecisionLock;
  chain: Chain;
  trainer: Trainer;
  database: Pick<Database, "recordDecision" | "claimDispatch" | "settleDispatch" | "moveEvents">;
  timeZone: string;
}

/**
 * Records the decision and asks for the training that it wants. Where the decision comes too late, because another run's
 * came first or its evidence is too old, a follow-up looks again.
 */
export function createAct(dependencies: ActDependencies) {
  const { trainer, database, timeZone } = dependencies;
  return async (job: StageJob, evaluated: Evaluated): Promise<StageOutput<Acted>> => {
    const { evidence, policy, verdict } = evaluated;
    const answer = await database.recordDecision({
      ...job,
      ...draftDecision(job.runId, evidence, verdict, trainer),
      evidence,
      policy,
      policyHash: hashPolicy(policy),
      verdict,
      trainer: trainer.name,
      // Nothing leaves the process for a trainer that only shows the request, so its dispatch is complete with its row.
      dispatchState: trainer.remote ? "pending" : "sent",
    });
    const acted: Acted =
      answer.outcome === "recorded"
        ? {
            ...weighedBy(answer.decision, evaluated),
            recording: await act(dependencies, job, answer.decision),
          }
        : { ...evaluated, recording: await supersede(dependencies, job, answer.because) };
    const log = renderAction(toReportInput(job, acted, timeZone));
    return { result: acted, log, endsRun: acted.recording.outcome === "superseded" };
  };
}

/** What the recorded decision was made of, which is not what this try gathered where an earlier one recorded it. */
function weighedBy({ earlier }: RecordedDecision, evaluated: Evaluated): Evaluated {
  return earlier ? { ...earlier, verdict: evaluate(earlier.evidence, earlier.policy) } : evaluated;
}

async function act(
  dependencies: ActDependencies,
  job: StageJob,
  { id, decidedAt, decision, trainer, request, dispatchState }: RecordedDecision,
): Promise<Recording> {
  const recorded = { outcome: "recorded", decisionId: id, decidedAt, decision, trainer, request } as const;
  // A decision that another trainer's settings made is left to them.
  if (request === null || dispatchState === null || trainer !== dependencies.trainer.name)
    return { ...recorded, dispatch: dispatchState };
  const dispatch = await dispatchTraining(dependencies, {
    decisionId: id,
    key: job.runId,
    request,
    state: dispatchState,
  });
  // A training that was not asked for in time gave its alerts back; somebody must look at them again.
  if (dispatch === "cancelled") await lookAgain(dependencies, job.model);
  return { ...recorded, dispatch };
}

async function supersede(
  dependencies: ActDependencies,
  { model, runId }: StageJob,
  because: Superseded,
): Promise<Recording> {
  const followUpRunId = await lookAgain(dependencies, model, runId);
  return { outcome: "superseded", because, followUpRunId };
}
