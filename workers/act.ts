import type { Chain } from "../queues/chain.ts";
import type { Acted, Evaluated, Recording, StageJob } from "../queues/jobs.ts";
import type { Notify } from "../queues/notifications.ts";
import { toTimestampMs } from "../queues/run-id.ts";
import { reasonsOf } from "../src/core/decision-content.ts";
import { type DispatchOutcome, toOutcome } from "../src/core/dispatch/dispatch.ts";
import { effectsOf } from "../src/core/dispatch/effects.ts";
import { evaluate, type Verdict } from "../src/core/evaluate.ts";
import { toKept } from "../src/core/facts.ts";
import { announceTrigger, describeConflict } from "../src/core/report/announce.ts";
import type { Superseded } from "../src/core/superseded.ts";
import type { Database } from "../src/postgres/database.ts";
import type { RecordedDecision } from "../src/postgres/decisions.ts";
import type { DispatchRecord } from "../src/postgres/dispatches.ts";
import type { WorkMetrics } from "../src/process/metrics.ts";
import type { DecisionLock } from "../src/redis/decision-lock.ts";
import { draftRecord } from "../src/trainers/draft-decision.ts";
import { findTrainer, type Trainers } from "../src/trainers/trainers.ts";
import { type Dispatcher, FIRST_POLL } from "./dispatch.ts";
import { announceState } from "./announce-state.ts";
import { reevaluate, replaceNextLook } from "./follow-up.ts";
import type { ManualRetry, StageOutput, StagePause } from "./stage.ts";

export interface ActDependencies {
  lock: DecisionLock;
  chain: Chain;
  database: Pick<Database, "recordDecision" | "moveEvents" | "readDispatch" | "findLaterRequest">;
  trainers: Pick<Trainers, "of" | "before">;
  dispatcher: Dispatcher;
  notify: Notify;
  metrics: Pick<WorkMetrics, "countDecision" | "countSuperseded">;
  /** @throws PermanentError for a model that the settings never named; one that a reload removed ends its run. */
  findForRun(model: string): unknown;
}

/** The outcome of the dispatch, or a pause if it is not settled yet. */
type Dispatched = { kind: "settled"; dispatch: DispatchOutcome | null } | StagePause;

/**
 * Records the decision and dispatches its training, which may take several attempts until the outcome of the request is
 * known. If another run decided first, the evidence is too old or the training that blocked the decision has ended, the run
 * is superseded and a follow-up re-evaluates.
 */
export function createAct(dependencies: ActDependencies) {
  const { trainers, database, chain, notify, metrics, findForRun } = dependencies;
  return async (
    job: StageJob,
    evaluated: Evaluated,
    retry: ManualRetry,
  ): Promise<StageOutput<Acted> | StagePause> => {
    // Never dispatch to this service's trainer for a model of another service.
    findForRun(job.model);
    const trainer = trainers.of(job.model);
    const { evidence, policy, verdict, shadow } = evaluated;
    const recorded = await database.recordDecision(
      draftRecord({ ...job, evidence, policy, verdict, shadow }, trainer),
    );
    if (recorded.outcome === "superseded") {
      metrics.countSuperseded(recorded.because);
      const recording = await supersede(dependencies, job, recorded.because);
      return toOutput({ ...evaluated, recording });
    }
    const { decision } = recorded;
    if (decision.isNew) countDecision(metrics, job, decision, verdict);
    const basis = basisOf(decision, evaluated);
    await Promise.all([
      replaceNextLook(chain, job, basis, decision),
      announceState(notify, job, basis, decision.id),
    ]);
    const dispatched = await dispatch(dependencies, job, basis, decision, retry);
    if (dispatched.kind === "pause") return dispatched;
    const recording: Recording = {
      outcome: "recorded",
      decisionId: decision.id,
      decidedAt: decision.decidedAt,
      decision: decision.decision,
      trainer: decision.trainer,
      request: decision.request,
      dispatch: dispatched.dispatch,
    };
    return toOutput({ ...basis, recording });
  };
}

function toOutput(acted: Acted): StageOutput<Acted> {
  // The shadow's verdict is recorded.
  const result = { ...acted, evidence: toKept(acted.evidence), shadow: null };
  const { recording } = acted;
  if (recording.outcome === "recorded") return { kind: "done", result };
  const { because, followUpRunId } = recording;
  const line = { message: "superseded", fields: { because, followUpRunId } };
  return { kind: "done", result, line, endsRun: true };
}

function countDecision(
  metrics: ActDependencies["metrics"],
  { model, runId, cause }: StageJob,
  { decision }: RecordedDecision,
  verdict: Verdict,
): void {
  const [reason = verdict.reason] = reasonsOf(verdict).reasonCodes;
  const receivedAt = cause === "event" ? toTimestampMs(runId) : null;
  metrics.countDecision({ model, decision, reason, receivedAt });
}

/** What the recorded decision was based on: the evidence of an earlier attempt, if that one recorded it. */
function basisOf({ earlier }: RecordedDecision, evaluated: Evaluated): Evaluated {
  return earlier
    ? { ...earlier, verdict: evaluate(earlier.evidence, earlier.policy), shadow: null }
    : evaluated;
}

async function dispatch(
  dependencies: ActDependencies,
  { model, runId }: StageJob,
  { evidence, verdict }: Evaluated,
  recorded: RecordedDecision,
  retry: ManualRetry,
): Promise<Dispatched> {
  const { trainers, notify, database } = dependencies;
  const { id: decisionId, dispatch } = recorded;
  const trainer = findTrainer(trainers, { model, trainer: recorded.trainer });
  if (dispatch === null || trainer === null) return { kind: "settled", dispatch };
  if (!trainer.remote) {
    const { driftScore, feature } = verdict;
    const announced = { ...dispatch, model, decisionId, trainer: trainer.name };
    const { size: bufferSize, unit } = evidence.buffer;
    const text = announceTrigger(announced, { driftScore, feature, bufferSize, unit });
    await notify({ kind: "training_triggered", model, runId, decisionId, text });
    return { kind: "settled", dispatch };
  }
  const record = await database.readDispatch(runId);
  if (!record) throw new Error(`decision ${decisionId} has no dispatch`);
  return settle(dependencies, await reopenIfRetried(dependencies, record, retry));
}

/** Advances a dispatch until the outcome of the request is known or it has to wait. */
async function settle(
  { dispatcher }: Pick<ActDependencies, "dispatcher">,
  found: DispatchRecord,
): Promise<Dispatched> {
  let record = found;
  while (record.dispatch.state === "pending") {
    const step = await dispatcher.takeStep(record, FIRST_POLL);
    record = step.record;
    const { next } = step;
    if (record.dispatch.state === "pending" && next.kind !== "done" && next.waitMs > 0) {
      const why = step.note ?? record.dispatch.error ?? "The request was sent";
      const log = `⏳ ${why}. Next attempt in ${Math.ceil(next.waitMs / 1000)} s`;
      return { kind: "pause", pauseMs: next.waitMs, why, log };
    }
  }
  await dispatcher.carryOut(record, effectsOf(record.dispatch));
  return { kind: "settled", dispatch: toOutcome(record.dispatch) };
}

/**
 * Reopens a refused request if the completed stage is retried by hand, once per such retry: the automatic attempts that
 * follow find its mark.
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
  const error = `${record.dispatch.error ?? ""}\n${describeConflict(rival)}`;
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
