import { announceTrigger, describeRival } from "../src/core/report/announce.ts";
import { type DispatchOutcome, effectsOf, toOutcome } from "../src/core/dispatch/advance.ts";
import { evaluate } from "../src/core/evaluate.ts";
import { renderAction } from "../src/core/report/report.ts";
import type { Superseded } from "../src/core/superseded.ts";
import { draftDecision } from "../src/trainers/draft-decision.ts";
import { hashPolicy } from "../src/postgres/canonical-hash.ts";
import type { Database } from "../src/postgres/database.ts";
import type { RecordedDecision } from "../src/postgres/decisions.ts";
import type { DispatchRecord } from "../src/postgres/dispatches.ts";
import type { DecisionLock } from "../src/redis/decision-lock.ts";
import type { Trainer } from "../src/trainers/trainer.ts";
import type { Acted, Evaluated, Recording, StageJob } from "../queues/jobs.ts";
import type { Chain } from "../queues/chain.ts";
import { type Dispatcher, NO_MEMO } from "./dispatch.ts";
import { reevaluate } from "./follow-up.ts";
import type { Notify } from "./notify.ts";
import type { ManualRetry, StageOutput, StagePause } from "./stage.ts";
import { type ReportSettings, toReportInput } from "./summarize.ts";

export interface ActDependencies extends ReportSettings {
  lock: DecisionLock;
  chain: Chain;
  database: Pick<Database, "recordDecision" | "moveEvents" | "readDispatch" | "findLaterRequest">;
  trainer: Trainer;
  dispatcher: Dispatcher;
  notify: Notify;
  /** @throws PermanentError for a model that the settings do not name. */
  findModel(model: string): unknown;
}

/**
 * Records the decision and dispatches its training, which may take several tries until the outcome of the request is known.
 * If another run has decided first, the evidence is too old or the training that held the decision back has ended, the run
 * is superseded and a follow-up re-evaluates.
 */
export function createAct(dependencies: ActDependencies) {
  const { trainer, database, findModel } = dependencies;
  return async (
    job: StageJob,
    evaluated: Evaluated,
    retry: ManualRetry,
  ): Promise<StageOutput<Acted> | StagePause> => {
    // Another service's trainer must not be asked for a model that is not ours.
    findModel(job.model);
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
    await replaceNextLook(dependencies, job, weighed, answer.decision);
    const dispatched = await dispatch(dependencies, job, weighed, answer.decision, retry);
    if ("pauseMs" in dispatched) return dispatched;
    const { id: decisionId, decidedAt, decision, trainer: name, request } = answer.decision;
    const recorded = {
      outcome: "recorded",
      decisionId,
      decidedAt,
      decision,
      trainer: name,
      request,
    } as const;
    const recording: Recording = { ...recorded, dispatch: dispatched.dispatch };
    return toOutput(job, { ...weighed, recording }, dependencies);
  };
}

function toOutput(job: StageJob, acted: Acted, settings: ReportSettings): StageOutput<Acted> {
  const log = renderAction(toReportInput(job, acted, settings));
  return { result: acted, log, endsRun: acted.recording.outcome === "superseded" };
}

/** What the recorded decision was based on: the evidence of an earlier try, if that one recorded it. */
function weighedBy({ earlier }: RecordedDecision, evaluated: Evaluated): Evaluated {
  return earlier ? { ...earlier, verdict: evaluate(earlier.evidence, earlier.policy) } : evaluated;
}

/** Replaces the follow-up that the previous decision scheduled by the one of this decision. */
async function replaceNextLook(
  { chain }: Pick<ActDependencies, "chain">,
  { model, cause }: StageJob,
  { evidence, verdict }: Evaluated,
  { id: decisionId, nextLookInMs }: RecordedDecision,
): Promise<void> {
  const [previous] = evidence.lastDecisions;
  if (previous && previous.nextLookAt !== null) await chain.cancelNextLook(model, previous.id);
  if (nextLookInMs === null || verdict.nextLookAt === null) return;
  // The look before came early, by a worker whose clock is ahead: this one must not do so again at once.
  const isEarly = cause === "followup" && isSameInstant(previous?.nextLookAt, verdict.nextLookAt);
  await chain.scheduleNextLook({
    model,
    decisionId,
    waitMs: isEarly ? Math.max(nextLookInMs, EARLY_LOOK_PAUSE_MS) : nextLookInMs,
  });
}

const EARLY_LOOK_PAUSE_MS = 15_000;

function isSameInstant(a: string | null | undefined, b: string): boolean {
  return typeof a === "string" && Date.parse(a) === Date.parse(b);
}

async function dispatch(
  dependencies: ActDependencies,
  { model, runId }: StageJob,
  { evidence, verdict }: Evaluated,
  recorded: RecordedDecision,
  retry: ManualRetry,
): Promise<{ dispatch: DispatchOutcome | null } | StagePause> {
  const { trainer, notify, database } = dependencies;
  const { id: decisionId, dispatch } = recorded;
  // A decision that was made for another trainer is left to that trainer's settings.
  if (dispatch === null || recorded.trainer !== trainer.name) return { dispatch };
  if (!trainer.remote) {
    const { driftScore, feature } = verdict;
    const announced = { ...dispatch, model, decisionId, trainer: trainer.name };
    const text = announceTrigger(announced, { driftScore, feature, bufferSize: evidence.buffer.size });
    await notify({ kind: "training_triggered", model, runId, decisionId, text });
    return { dispatch };
  }
  const record = await database.readDispatch(runId);
  if (!record) throw new Error(`decision ${decisionId} has no dispatch`);
  return settle(dependencies, await reopenIfRetried(dependencies, record, retry));
}

/** Works on a dispatch until the outcome of the request is known, or until it has to wait. */
async function settle(
  { dispatcher }: Pick<ActDependencies, "dispatcher">,
  found: DispatchRecord,
): Promise<{ dispatch: DispatchOutcome } | StagePause> {
  let record = found;
  while (record.dispatch.state === "pending") {
    const turn = await dispatcher.takeTurn(record, NO_MEMO);
    record = turn.record;
    const { next } = turn;
    if (record.dispatch.state === "pending" && next.kind !== "done" && next.waitMs > 0) {
      const why = turn.note ?? record.dispatch.error ?? "The trainer was asked";
      return { pauseMs: next.waitMs, log: `⏳ ${why}. Again in ${Math.ceil(next.waitMs / 1000)} s` };
    }
  }
  await dispatcher.carryOut(record, effectsOf(record.dispatch));
  return { dispatch: toOutcome(record.dispatch) };
}

/**
 * A refused request is sent again if a person runs the completed stage again. That is done once for each such retry: automatic
 * attempts that follow it find the mark that it left.
 */
async function reopenIfRetried(
  { chain, database, dispatcher }: Pick<ActDependencies, "chain" | "database" | "dispatcher">,
  record: DispatchRecord,
  { wasReopened, markReopened }: ManualRetry,
): Promise<DispatchRecord> {
  if (record.dispatch.state !== "rejected" || wasReopened) return record;
  if (!(await chain.hasActCompleted(record.runId))) return record;
  const rival = await database.findLaterRequest(record.decisionId);
  if (rival === null) {
    await markReopened();
    return (await dispatcher.apply(record, { kind: "retry" })).record;
  }
  const error = `${record.dispatch.error ?? ""}\n${describeRival(rival)}`;
  return { ...record, dispatch: { ...record.dispatch, error } };
}

async function supersede(
  dependencies: ActDependencies,
  { model, runId }: StageJob,
  because: Superseded,
): Promise<Recording> {
  const followUpRunId = await reevaluate(dependencies, model, runId);
  return { outcome: "superseded", because, followUpRunId };
}
