import { draftDecision } from "../src/decision-draft.ts";
import { announceTrigger, announceUnknown } from "../src/core/announce.ts";
import { evaluate } from "../src/core/evaluate.ts";
import { NOT_ASKED_IN_TIME } from "../src/core/training.ts";
import type { Superseded } from "../src/core/superseded.ts";
import type { Database } from "../src/postgres/database.ts";
import type { RecordedDecision } from "../src/postgres/decisions.ts";
import { hashPolicy } from "../src/policy-hash.ts";
import type { DecisionLock } from "../src/redis/decision-lock.ts";
import { renderAction } from "../src/core/report.ts";
import type { Acted, Evaluated, Recording, StageJob } from "../queues/jobs.ts";
import type { Chain } from "./chain.ts";
import { type DispatchDependencies, dispatchTraining } from "./dispatch.ts";
import { lookAgain } from "./follow-up.ts";
import type { Notify } from "./notify.ts";
import { toReportInput } from "./summarize.ts";
import type { StageContext, StageOutput, StagePause } from "./stage.ts";

export interface ActDependencies extends DispatchDependencies {
  lock: DecisionLock;
  chain: Chain;
  database: DispatchDependencies["database"] & Pick<Database, "recordDecision" | "moveEvents">;
  /** Sees to it that a training is followed to its end. */
  followTraining(job: { runId: string; model: string }): Promise<void>;
  notify: Notify;
  timeZone: string;
}

/**
 * Records the decision and asks for the training that it wants, which may take several tries until it is known what became
 * of the request. Where the decision comes too late, because another run's came first or its evidence is too old, a
 * follow-up looks again.
 */
export function createAct(dependencies: ActDependencies) {
  const { trainer, database, timeZone } = dependencies;
  return async (
    job: StageJob,
    evaluated: Evaluated,
    context: StageContext,
  ): Promise<StageOutput<Acted> | StagePause> => {
    const { evidence, policy, verdict } = evaluated;
    const answer = await database.recordDecision({
      ...job,
      ...draftDecision({ ...job, evidence, verdict }, trainer),
      evidence,
      policy,
      policyHash: hashPolicy(policy),
      verdict,
      trainer: trainer.name,
      // Nothing leaves the process for a trainer that only shows the request, so its dispatch is complete with its row.
      dispatchState: trainer.remote ? "pending" : "sent",
    });
    if (answer.outcome === "superseded") {
      const recording = await supersede(dependencies, job, answer.because);
      return toOutput(job, { ...evaluated, recording }, timeZone);
    }
    const weighed = weighedBy(answer.decision, evaluated);
    const recording = await act(dependencies, job, weighed, answer.decision, context);
    return "pauseMs" in recording ? recording : toOutput(job, { ...weighed, recording }, timeZone);
  };
}

function toOutput(job: StageJob, acted: Acted, timeZone: string): StageOutput<Acted> {
  const log = renderAction(toReportInput(job, acted, timeZone));
  return { result: acted, log, endsRun: acted.recording.outcome === "superseded" };
}

/** What the recorded decision was made of, which is not what this try gathered where an earlier one recorded it. */
function weighedBy({ earlier }: RecordedDecision, evaluated: Evaluated): Evaluated {
  return earlier ? { ...earlier, verdict: evaluate(earlier.evidence, earlier.policy) } : evaluated;
}

async function act(
  dependencies: ActDependencies,
  job: StageJob,
  weighed: Evaluated,
  { id, decidedAt, decision, trainer, request, dispatch }: RecordedDecision,
  { isPersonsWord }: StageContext,
): Promise<Recording | StagePause> {
  const recorded = { outcome: "recorded", decisionId: id, decidedAt, decision, trainer, request } as const;
  // A decision that another trainer's settings made is left to them.
  if (request === null || dispatch === null || trainer !== dependencies.trainer.name)
    return { ...recorded, dispatch };
  const dispatching = await dispatchTraining(dependencies, {
    decisionId: id,
    key: job.runId,
    request,
    outcome: dispatch,
    ageMs: Math.max(0, Date.now() - Date.parse(decidedAt)),
    isPersonsWord,
  });
  if (dispatching.outcome === "later") {
    const { waitMs, message } = dispatching;
    return { pauseMs: waitMs, log: `⏳ ${message}. Again in ${Math.ceil(waitMs / 1000)} s` };
  }
  await goOn(dependencies, job, weighed, {
    ...dispatching.dispatch,
    decisionId: id,
    trainer,
    model: job.model,
  });
  return { ...recorded, dispatch: dispatching.dispatch };
}

type Settled = Parameters<typeof announceTrigger>[0];

/** What follows from how the dispatch came out. Each of it done twice does the same. */
async function goOn(
  { lock, chain, database, trainer, followTraining, notify }: ActDependencies,
  { model, runId }: StageJob,
  { evidence, verdict }: Evaluated,
  dispatch: Settled,
): Promise<void> {
  const { state, decisionId } = dispatch;
  // A training that was not asked for in time gave its alerts back; somebody must look at them again.
  const isUnasked = state === "cancelled" && dispatch.error === NOT_ASKED_IN_TIME;
  if (isUnasked) await lookAgain({ lock, chain, database }, model);
  // One that is unknown may turn up late.
  if (trainer.remote && ["sent", "unknown", "running"].includes(state))
    await followTraining({ runId, model });
  // What became of the training since, its own job tells; of one that was not asked for, the follow-up.
  if (!["sent", "unknown", "rejected"].includes(state)) return;
  const { driftScore, feature } = verdict;
  const about = { model, runId, decisionId };
  const text = announceTrigger(dispatch, { driftScore, feature, bufferSize: evidence.buffer.size });
  // A person may have it asked for again, with another outcome.
  await notify({ ...about, kind: "training_triggered", text }, `-${state}`);
  if (state === "unknown")
    await notify({ ...about, kind: "dispatch_unknown", text: announceUnknown(dispatch) });
}

async function supersede(
  dependencies: ActDependencies,
  { model, runId }: StageJob,
  because: Superseded,
): Promise<Recording> {
  const followUpRunId = await lookAgain(dependencies, model, runId);
  return { outcome: "superseded", because, followUpRunId };
}
