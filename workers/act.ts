import { draftDecision } from "../src/decision-draft.ts";
import { announceTrigger, announceUnknown } from "../src/core/announce.ts";
import { evaluate } from "../src/core/evaluate.ts";
import { isEnded, isUnasked } from "../src/core/training.ts";
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
import { type ReportSettings, toReportInput } from "./summarize.ts";
import type { StageContext, StageOutput, StagePause } from "./stage.ts";

export interface ActDependencies extends DispatchDependencies, ReportSettings {
  lock: DecisionLock;
  chain: Chain;
  database: DispatchDependencies["database"] &
    Pick<Database, "recordDecision" | "moveEvents" | "readDispatch" | "isAnyInFlight">;
  /** Sees to it that a training is followed to its end. */
  followTraining(job: { runId: string; model: string }): Promise<void>;
  notify: Notify;
}

/**
 * Records the decision and asks for the training that it wants, which may take several tries until it is known what became
 * of the request. Where the decision comes too late, because another run's came first or its evidence is too old, a
 * follow-up looks again.
 */
export function createAct(dependencies: ActDependencies) {
  const { trainer, database } = dependencies;
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
      return toOutput(job, { ...evaluated, recording }, dependencies);
    }
    const weighed = weighedBy(answer.decision, evaluated);
    const recording = await act(dependencies, job, weighed, answer.decision, context);
    return "pauseMs" in recording ? recording : toOutput(job, { ...weighed, recording }, dependencies);
  };
}

function toOutput(job: StageJob, acted: Acted, settings: ReportSettings): StageOutput<Acted> {
  const log = renderAction(toReportInput(job, acted, settings));
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
  // What is over changes nothing when a person runs it again; what was refused is asked for.
  if (isPersonsWord && (dispatch === null || (isEnded(dispatch.state) && dispatch.state !== "rejected")))
    return { ...recorded, dispatch };
  await lookAgainAfterTraining(dependencies, job.model, weighed);
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

/** A training that was under way when the evidence was gathered may have ended since, and seen nobody wait for it. */
async function lookAgainAfterTraining(
  { lock, chain, database }: ActDependencies,
  model: string,
  { evidence, verdict }: Evaluated,
): Promise<void> {
  if (!verdict.failed.includes("training_in_flight")) return;
  const decisionIds = evidence.inFlight.map(({ decisionId }) => decisionId);
  if (!(await database.isAnyInFlight(decisionIds))) await lookAgain({ lock, chain, database }, model);
}

type Settled = Parameters<typeof announceTrigger>[0] & { askedAt: string | null };

/** What follows from how the dispatch came out. Each of it done twice does the same. */
async function goOn(
  { lock, chain, database, trainer, followTraining, notify }: ActDependencies,
  { model, runId }: StageJob,
  { evidence, verdict }: Evaluated,
  dispatch: Settled,
): Promise<void> {
  const { state, decisionId, askedAt } = dispatch;
  // A training that was not asked for gave its alerts back; the follow-up tells what comes of them.
  if (isUnasked(dispatch)) return void (await lookAgain({ lock, chain, database }, model));
  const { driftScore, feature } = verdict;
  const about = { model, runId, decisionId };
  const text = announceTrigger(dispatch, { driftScore, feature, bufferSize: evidence.buffer.size });
  // Once for each time that the trainer was asked: a person may have it asked for again.
  const asking = askedAt === null ? "" : `-${Date.parse(askedAt)}`;
  await notify({ ...about, kind: "training_triggered", text }, asking);
  if (state === "unknown")
    await notify({ ...about, kind: "dispatch_unknown", text: announceUnknown(dispatch) }, asking);
  // Also where others told of it meanwhile, and where it is unknown: it may turn up late.
  if (trainer.remote && state !== "rejected") await followTraining({ runId, model });
  // Who waits for this one waits in vain.
  else if (trainer.remote && (await database.readDispatch(runId))?.keptOthersWaiting)
    await lookAgain({ lock, chain, database }, model);
}

async function supersede(
  dependencies: ActDependencies,
  { model, runId }: StageJob,
  because: Superseded,
): Promise<Recording> {
  const followUpRunId = await lookAgain(dependencies, model, runId);
  return { outcome: "superseded", because, followUpRunId };
}
