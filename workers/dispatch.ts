import type { TrainingTiming } from "../src/config/config.ts";
import { advance } from "../src/core/dispatch/advance.ts";
import { isTerminal, stateOfTraining, type Training } from "../src/core/dispatch/dispatch.ts";
import {
  type DispatchInput,
  type DispatchLimits,
  toDispatchLimits,
} from "../src/core/dispatch/transition.ts";
import type { Database } from "../src/postgres/database.ts";
import { type Advanced, clockOf, type DispatchRecord } from "../src/postgres/dispatches.ts";
import { type RemoteTrainer, type Trainer, TrainerUnavailable } from "../src/trainers/trainer.ts";
import { compareRequest } from "./compare-request.ts";
import { createDispatchEffects, type DispatchEffects, type EffectDependencies } from "./dispatch-effects.ts";

export interface DispatcherDependencies extends EffectDependencies {
  trainer: Trainer;
  database: Pick<Database, "claimDispatch" | "updateDispatch" | "readLatestDecision">;
  timing: TrainingTiming;
}

/** What a worker remembers about a training between two polls. Losing it costs one extra request. */
export interface DispatchMemo {
  etag: string | null;
  /** Whether the trainer's list was searched for further runs of the same request. */
  isCounted: boolean;
}

/** The result of one step on a dispatch. */
interface DispatchTurn extends Advanced {
  memo: DispatchMemo;
}

/**
 * The shell around the state machine of a dispatch: it makes the call to the trainer that is due, reduces the response,
 * writes the result if the row has not changed in the meantime, and carries out the effects.
 */
export interface Dispatcher extends Pick<DispatchEffects, "carryOut" | "alertsBackAt"> {
  /** Takes the step that is due: requests the training, searches for it or polls its status. */
  takeTurn(record: DispatchRecord, memo: DispatchMemo): Promise<DispatchTurn>;
  /** Reduces an input and writes the result. */
  apply(record: DispatchRecord, input: DispatchInput): Promise<DispatchTurn>;
}

/** The memo of the first poll. */
export const NO_MEMO: DispatchMemo = { etag: null, isCounted: false };

export function createDispatcher(dependencies: DispatcherDependencies): Dispatcher {
  const { trainer, database, timing } = dependencies;
  const effects = createDispatchEffects(dependencies);
  const { carryOut, findPolicy } = effects;

  async function apply(
    record: DispatchRecord,
    input: DispatchInput,
    memo: DispatchMemo = NO_MEMO,
  ): Promise<DispatchTurn> {
    const { traits } = requireRemote(trainer);
    const limits = toLimits(timing);
    const advanced = await database.updateDispatch(record, (current) =>
      advance(current.dispatch, input, {
        now: clockOf(current),
        limits,
        trainer: traits,
        findAlertsBackAt: (endedAt) => effects.findAlertsBackAt(current, endedAt),
      }),
    );
    return { ...advanced, memo };
  }

  async function takeTurn(record: DispatchRecord, memo: DispatchMemo): Promise<DispatchTurn> {
    const opened = await apply(record, { kind: "opened" }, memo);
    switch (opened.next.kind) {
      case "request":
        return opened.next.waitMs > 0 ? opened : request(record);
      case "search":
        return search(record, memo);
      case "poll":
        return poll(record, opened.next.isFresh ? { ...memo, etag: null } : memo);
      case "run":
      case "done":
        return opened;
      default:
        return opened.next satisfies never;
    }
  }

  /** Sends the request, if it still equals the recorded one and no other worker has claimed it. */
  async function request(record: DispatchRecord): Promise<DispatchTurn> {
    // The trainer of these settings must not be asked for a model that they do not name.
    if (findPolicy(record.model) === null)
      return apply(record, { kind: "request_differs", haveSettingsChanged: true });
    const rendered = compareRequest(trainer, record);
    if (rendered.kind === "differs")
      return apply(record, { kind: "request_differs", haveSettingsChanged: rendered.haveSettingsChanged });
    const claim = await database.claimDispatch(record.decisionId);
    if (claim.outcome === "refused") return apply(claim.record, { kind: "opened" });
    const result = await requireRemote(trainer).request({ key: record.runId, request: rendered.request });
    const { askedAt } = claim.record.dispatch;
    switch (result.outcome) {
      case "accepted": {
        const { training, isDone = false } = result;
        return apply(claim.record, { kind: "accepted", training, isDone });
      }
      case "rejected":
        return apply(claim.record, { kind: "refused", askedAt, message: result.message });
      case "not_sent":
        return apply(claim.record, { kind: "not_sent", askedAt, message: result.message });
      case "rate_limited":
        return apply(claim.record, {
          kind: "rate_limited",
          askedAt,
          message: result.message,
          waitMs: result.waitMs,
        });
      case "lost":
        return apply(claim.record, { kind: "response_lost", askedAt, message: result.message });
      default:
        return result satisfies never;
    }
  }

  async function search(record: DispatchRecord, memo: DispatchMemo): Promise<DispatchTurn> {
    try {
      const trainings = await searchTrainer(record);
      return await apply(record, { kind: "searched", trainings }, { ...memo, isCounted: true });
    } catch (error) {
      return apply(record, toUnavailable(error), memo);
    }
  }

  async function poll(record: DispatchRecord, memo: DispatchMemo): Promise<DispatchTurn> {
    const remote = requireRemote(trainer);
    try {
      // Whether one request started several runs is checked once, and again before an end is accepted.
      if (remote.traits.followsById && !memo.isCounted && !isTerminal(record.dispatch.state)) {
        const counted = await apply(record, { kind: "searched", trainings: await searchIfPossible(record) });
        await carryOut(counted.record, counted.effects);
        return await poll(counted.record, { ...memo, isCounted: true });
      }
      const { externalId, url, statusUrl } = record.dispatch;
      const result = await remote.poll({
        key: record.runId,
        model: record.model,
        externalId: externalId ?? "",
        url,
        statusUrl,
        etag: memo.etag,
      });
      switch (result.outcome) {
        case "unchanged":
          return await apply(record, { kind: "unchanged" }, memo);
        case "not_pollable":
          return await apply(record, { kind: "not_pollable" }, memo);
        case "gone":
          return await apply(record, { kind: "gone", message: result.message }, memo);
        case "seen": {
          const { outcome: _, etag, ...status } = result;
          const isEnd = isTerminal(stateOfTraining(status.status, status.conclusion));
          const runs = isEnd && remote.traits.followsById ? await searchIfPossible(record) : null;
          const turn = await apply(record, { kind: "seen", runs, ...status }, memo);
          const isFresh = turn.next.kind === "poll" && turn.next.isFresh;
          return { ...turn, memo: { ...memo, etag: isFresh ? null : etag } };
        }
        default:
          return result satisfies never;
      }
    } catch (error) {
      return apply(record, toUnavailable(error), memo);
    }
  }

  function searchTrainer({ runId, model, dispatch, ...clock }: DispatchRecord): Promise<Training[]> {
    const requestedAgoMs = clockOf(clock) - (dispatch.askedAt ?? dispatch.createdAt);
    return requireRemote(trainer).search({ key: runId, model, requestedAgoMs });
  }

  /** Listing runs may fail although the training itself can be polled. */
  async function searchIfPossible(record: DispatchRecord): Promise<Training[]> {
    try {
      return await searchTrainer(record);
    } catch (error) {
      if (error instanceof TrainerUnavailable) return [];
      throw error;
    }
  }

  return { takeTurn, apply, carryOut, alertsBackAt: effects.alertsBackAt };
}

function toUnavailable(error: unknown): DispatchInput {
  if (!(error instanceof TrainerUnavailable)) throw error;
  return { kind: "unavailable", message: error.message, waitMs: error.waitMs };
}

function requireRemote({ remote, name }: Trainer): RemoteTrainer {
  if (!remote) throw new Error(`the trainer ${name} dispatches nothing`);
  return remote;
}

/** Adds jitter to the polls, so that trainings that began together are not polled together. */
function toLimits(timing: TrainingTiming): DispatchLimits {
  return toDispatchLimits({ ...timing, pollMs: timing.pollMs * (0.75 + Math.random() / 2) });
}
