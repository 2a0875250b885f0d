import type { TrainingTiming } from "../src/config/config.ts";
import { advance } from "../src/core/dispatch/advance.ts";
import { isTerminal, stateOfTraining, type Training } from "../src/core/dispatch/dispatch.ts";
import type { DispatchInput, DispatchLimits } from "../src/core/dispatch/transition.ts";
import type { Database } from "../src/postgres/database.ts";
import { type Advanced, clockOf, type DispatchRecord } from "../src/postgres/dispatches.ts";
import { type RemoteTrainer, type Trainer, TrainerUnavailable } from "../src/trainers/trainer.ts";
import { findTrainer, type Trainers } from "../src/trainers/trainers.ts";
import { compareRequest } from "./compare-request.ts";
import { createDispatchEffects, type DispatchEffects, type EffectDependencies } from "./dispatch-effects.ts";
import { fromError, fromResult } from "./dispatch-input.ts";

export interface DispatcherDependencies extends EffectDependencies {
  trainers: Pick<Trainers, "of" | "before">;
  database: Pick<Database, "claimDispatch" | "updateDispatch" | "readLatestDecision" | "findFailureBefore">;
  timing: TrainingTiming;
}

/** What a worker keeps between two polls of a training. Losing it costs one extra request. */
export interface PollState {
  etag: string | null;
  /** Whether the trainer's list was searched for further runs of the same request. */
  isCounted: boolean;
}

/** The result of one step on a dispatch. */
interface DispatchStep extends Advanced {
  pollState: PollState;
}

/**
 * The shell around the state machine of a dispatch: makes the due call to the trainer, reduces the response, writes the
 * result if the row has not changed in the meantime, and carries out the effects.
 */
export interface Dispatcher extends Pick<DispatchEffects, "carryOut" | "closeUnknown" | "alertsBackAt"> {
  /** Takes the step that is due: requests the training, searches for it or polls its status. */
  takeStep(record: DispatchRecord, pollState: PollState): Promise<DispatchStep>;
  /** Reduces an input and writes the result. */
  apply(record: DispatchRecord, input: DispatchInput): Promise<DispatchStep>;
}

/** The state before the first poll. */
export const FIRST_POLL: PollState = { etag: null, isCounted: false };

export function createDispatcher(dependencies: DispatcherDependencies): Dispatcher {
  const { trainers, database, timing } = dependencies;
  const effects = createDispatchEffects(dependencies);
  const { carryOut, closeUnknown, alertsBackAt, findPolicy } = effects;

  async function apply(
    record: DispatchRecord,
    input: DispatchInput,
    pollState: PollState = FIRST_POLL,
  ): Promise<DispatchStep> {
    const { traits } = requireTrainer(trainers, record).remote;
    const limits = toLimits(timing);
    const advanced = await database.updateDispatch(record, (current) =>
      advance(current.dispatch, input, {
        now: clockOf(current),
        limits,
        trainer: traits,
        findAlertsBackAt: (endedAt) => effects.findAlertsBackAt(current, endedAt),
      }),
    );
    return { ...advanced, pollState };
  }

  async function takeStep(record: DispatchRecord, pollState: PollState): Promise<DispatchStep> {
    const opened = await apply(record, { kind: "opened" }, pollState);
    switch (opened.next.kind) {
      case "request":
        return opened.next.waitMs > 0 ? opened : request(record);
      case "search":
        return search(record, pollState);
      case "poll":
        return poll(record, opened.next.isFresh ? { ...pollState, etag: null } : pollState);
      case "run":
      case "done":
        return opened;
      default:
        return opened.next satisfies never;
    }
  }

  /** Sends the request, if it still equals the recorded one and no other worker has claimed it. */
  async function request(record: DispatchRecord): Promise<DispatchStep> {
    const trainer = trainers.of(record.model);
    // Never dispatch to this service's trainer for a model that its settings do not name, nor to one that a reload replaced.
    if (findPolicy(record.model) === null || trainer.name !== record.trainer || !trainer.remote)
      return apply(record, { kind: "request_differs", haveSettingsChanged: true });
    const rendered = compareRequest(trainer, record);
    if (rendered.kind === "differs")
      return apply(record, { kind: "request_differs", haveSettingsChanged: rendered.haveSettingsChanged });
    const claim = await database.claimDispatch(record.decisionId);
    if (claim.outcome === "refused") return apply(claim.record, { kind: "opened" });
    const result = await trainer.remote.request({ key: record.runId, request: rendered.request });
    return apply(claim.record, fromResult(result, claim.record.dispatch.askedAt));
  }

  async function search(record: DispatchRecord, pollState: PollState): Promise<DispatchStep> {
    try {
      const trainings = await searchTrainer(record);
      return await apply(record, { kind: "searched", trainings }, { ...pollState, isCounted: true });
    } catch (error) {
      return apply(record, fromError(error), pollState);
    }
  }

  async function poll(record: DispatchRecord, pollState: PollState): Promise<DispatchStep> {
    const { remote } = requireTrainer(trainers, record);
    try {
      // Check once whether the request started several runs, and again before accepting an end.
      if (remote.traits.followsById && !pollState.isCounted && !isTerminal(record.dispatch.state)) {
        const counted = await apply(record, { kind: "searched", trainings: await searchIfPossible(record) });
        await carryOut(counted.record, counted.effects);
        return await poll(counted.record, { ...pollState, isCounted: true });
      }
      const { externalId, url, statusUrl } = record.dispatch;
      const result = await remote.poll({
        key: record.runId,
        model: record.model,
        externalId: externalId ?? "",
        url,
        statusUrl,
        etag: pollState.etag,
      });
      switch (result.outcome) {
        case "unchanged":
          return await apply(record, { kind: "unchanged" }, pollState);
        case "not_pollable":
          return await apply(record, { kind: "not_pollable" }, pollState);
        case "gone":
          return await apply(record, { kind: "gone", message: result.message }, pollState);
        case "seen": {
          const { outcome: _, etag, ...status } = result;
          const isEnd = isTerminal(stateOfTraining(status.status, status.conclusion));
          const runs = isEnd && remote.traits.followsById ? await searchIfPossible(record) : null;
          const step = await apply(record, { kind: "seen", runs, ...status }, pollState);
          const isFresh = step.next.kind === "poll" && step.next.isFresh;
          return { ...step, pollState: { ...pollState, etag: isFresh ? null : etag } };
        }
        default:
          return result satisfies never;
      }
    } catch (error) {
      return apply(record, fromError(error), pollState);
    }
  }

  function searchTrainer(record: DispatchRecord): Promise<Training[]> {
    const { runId, model, dispatch } = record;
    const requestedAgoMs = clockOf(record) - (dispatch.askedAt ?? dispatch.createdAt);
    return requireTrainer(trainers, record).remote.search({ key: runId, model, requestedAgoMs });
  }

  /** Listing the runs may fail even though the training itself can be polled. */
  async function searchIfPossible(record: DispatchRecord): Promise<Training[]> {
    try {
      return await searchTrainer(record);
    } catch (error) {
      if (error instanceof TrainerUnavailable) return [];
      throw error;
    }
  }

  return { takeStep, apply, carryOut, closeUnknown, alertsBackAt };
}

/** Callers leave the dispatches of other trainers alone, so an error here is a bug; it keeps the request from being sent. */
function requireTrainer(
  trainers: DispatcherDependencies["trainers"],
  record: DispatchRecord,
): Trainer & { remote: RemoteTrainer } {
  const { decisionId, model, trainer: name } = record;
  const trainer = findTrainer(trainers, record);
  if (!trainer?.remote)
    throw new Error(`decision ${decisionId}: ${model} does not start trainings with ${name}`);
  return { ...trainer, remote: trainer.remote };
}

/** Adds jitter to the polls, so that trainings that started together are not polled together. */
function toLimits(timing: TrainingTiming): DispatchLimits {
  return { ...timing, pollMs: timing.pollMs * (0.75 + Math.random() / 2) };
}
