import { isDeepStrictEqual } from "node:util";
import type { Notify } from "../queues/notifications.ts";
import type { ModelConfig, TrainingTiming } from "../src/config/config.ts";
import { computeAlertsBackAt } from "../src/core/backoff.ts";
import { advance } from "../src/core/dispatch/advance.ts";
import { isOver, stateOfTraining, type Training } from "../src/core/dispatch/dispatch.ts";
import { callsForReevaluation } from "../src/core/dispatch/effects.ts";
import type { DispatchRequest } from "../src/core/dispatch/request.ts";
import {
  type DispatchEffect,
  type DispatchInput,
  type DispatchLimits,
  toDispatchLimits,
} from "../src/core/dispatch/transition.ts";
import { PermanentError } from "../src/core/errors.ts";
import type { Policy } from "../src/core/policy.ts";
import {
  announceDoubles,
  announceEnd,
  announceTrigger,
  announceUnknown,
} from "../src/core/report/announce.ts";
import type { Database } from "../src/postgres/database.ts";
import { type Advanced, clockOf, type DispatchRecord } from "../src/postgres/dispatches.ts";
import { hashSettings } from "../src/trainers/draft-decision.ts";
import { type RemoteTrainer, type Trainer, TrainerUnavailable } from "../src/trainers/trainer.ts";

export interface DispatcherDependencies {
  trainer: Trainer;
  database: Pick<Database, "claimDispatch" | "updateDispatch" | "readLatestDecision">;
  timing: TrainingTiming;
  /** @throws PermanentError for a model that the settings do not name. */
  findModel(model: string): ModelConfig;
  notify: Notify;
  /** Makes sure that a job follows the training to its end. */
  followTraining(job: { runId: string; model: string }): Promise<void>;
  /** Requests a run that re-evaluates the model. */
  reevaluate(model: string): Promise<unknown>;
}

/** What a worker remembers about a training between two polls. Losing it costs one extra request. */
export interface DispatchMemo {
  etag: string | null;
  /** Whether the trainer's list was searched for further runs of the same request. */
  isCounted: boolean;
}

/** The result of one step on a dispatch. */
export interface DispatchTurn extends Advanced {
  memo: DispatchMemo;
}

/**
 * The shell around the state machine of a dispatch: it makes the call to the trainer that is due, reduces the response,
 * writes the result if the row has not changed meanwhile, and carries out the effects.
 */
export interface Dispatcher {
  /** Takes the step that is due: requests the training, searches for it or polls its status. */
  takeTurn(record: DispatchRecord, memo: DispatchMemo): Promise<DispatchTurn>;
  /** Reduces an input and writes the result. */
  apply(record: DispatchRecord, input: DispatchInput): Promise<DispatchTurn>;
  /** Carries out effects. Idempotent. */
  carryOut(record: DispatchRecord, effects: readonly DispatchEffect[]): Promise<void>;
  /** ISO 8601: when the alerts of a failed training may start another one; null if none are held back. */
  alertsBackAt(record: DispatchRecord): string | null;
}

/** The memo of the first poll. */
export const NO_MEMO: DispatchMemo = { etag: null, isCounted: false };

export function createDispatcher(dependencies: DispatcherDependencies): Dispatcher {
  const { trainer, database, timing, notify, followTraining, reevaluate } = dependencies;

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
        findAlertsBackAt: (endedAt) => findAlertsBackAt(current, endedAt),
      }),
    );
    return { ...advanced, memo };
  }

  /** Until when the alerts of a failed training are held back, Unix milliseconds; null if they are not. */
  function findAlertsBackAt({ decisionId, model, alerts }: DispatchRecord, endedAt: number): number | null {
    const policy = findPolicy(model);
    return policy && computeAlertsBackAt(alerts, policy, { decisionId, endedAt });
  }

  /** The policy of a model; null if the settings no longer name it. */
  function findPolicy(model: string): Policy | null {
    try {
      return dependencies.findModel(model).policy;
    } catch (error) {
      if (error instanceof PermanentError) return null;
      throw error;
    }
  }

  async function takeTurn(record: DispatchRecord, memo: DispatchMemo): Promise<DispatchTurn> {
    const opened = await apply(record, { kind: "opened" }, memo);
    switch (opened.next.kind) {
      case "request":
        return opened.next.waitMs > 0 ? opened : request(record);
      case "search":
        return search(record, memo);
      case "follow":
        return follow(record, opened.next.isFresh ? { ...memo, etag: null } : memo);
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
    const answer = await requireRemote(trainer).ask({ key: record.runId, request: rendered.request });
    const { askedAt } = claim.record.dispatch;
    switch (answer.outcome) {
      case "accepted": {
        const { training, isDone = false } = answer;
        return apply(claim.record, { kind: "accepted", training, isDone });
      }
      case "rejected":
        return apply(claim.record, { kind: "refused", askedAt, message: answer.message });
      case "not_sent":
        return apply(claim.record, { kind: "not_sent", askedAt, message: answer.message });
      case "rate_limited":
        return apply(claim.record, {
          kind: "rate_limited",
          askedAt,
          message: answer.message,
          waitMs: answer.waitMs,
        });
      case "lost":
        return apply(claim.record, { kind: "answer_lost", askedAt, message: answer.message });
      default:
        return answer satisfies never;
    }
  }

  async function search(record: DispatchRecord, memo: DispatchMemo): Promise<DispatchTurn> {
    try {
      const trainings = await find(record);
      return await apply(record, { kind: "searched", trainings }, { ...memo, isCounted: true });
    } catch (error) {
      return apply(record, toUnavailable(error), memo);
    }
  }

  async function follow(record: DispatchRecord, memo: DispatchMemo): Promise<DispatchTurn> {
    const remote = requireRemote(trainer);
    try {
      // Whether one request started several runs is checked once, and again before an end is accepted.
      if (remote.traits.followsById && !memo.isCounted && !isOver(record.dispatch.state)) {
        const counted = await apply(record, { kind: "searched", trainings: await findIfPossible(record) });
        await carryOut(counted.record, counted.effects);
        return await follow(counted.record, { ...memo, isCounted: true });
      }
      const { externalId, url, statusUrl } = record.dispatch;
      const news = await remote.follow({
        key: record.runId,
        model: record.model,
        externalId: externalId ?? "",
        url,
        statusUrl,
        etag: memo.etag,
      });
      switch (news.outcome) {
        case "unchanged":
          return await apply(record, { kind: "unchanged" }, memo);
        case "nothing_to_ask":
          return await apply(record, { kind: "nothing_to_ask" }, memo);
        case "gone":
          return await apply(record, { kind: "gone", message: news.message }, memo);
        case "seen": {
          const { outcome: _, etag, ...status } = news;
          const isEnd = isOver(stateOfTraining(status.status, status.conclusion));
          const runs = isEnd && remote.traits.followsById ? await findIfPossible(record) : null;
          const turn = await apply(record, { kind: "seen", runs, ...status }, memo);
          const isFresh = turn.next.kind === "follow" && turn.next.isFresh;
          return { ...turn, memo: { ...memo, etag: isFresh ? null : etag } };
        }
        default:
          return news satisfies never;
      }
    } catch (error) {
      return apply(record, toUnavailable(error), memo);
    }
  }

  function find({ runId, model, dispatch, ...clock }: DispatchRecord): Promise<Training[]> {
    const askedAgoMs = clockOf(clock) - (dispatch.askedAt ?? dispatch.createdAt);
    return requireRemote(trainer).find({ key: runId, model, askedAgoMs });
  }

  /** Listing runs may fail although the training itself can be polled. */
  async function findIfPossible(record: DispatchRecord): Promise<Training[]> {
    try {
      return await find(record);
    } catch (error) {
      if (error instanceof TrainerUnavailable) return [];
      throw error;
    }
  }

  async function carryOut(record: DispatchRecord, effects: readonly DispatchEffect[]): Promise<void> {
    const { dispatch, decisionId, model, runId, order } = record;
    const about = { model, runId, decisionId };
    const announced = { ...dispatch, model, decisionId, trainer: record.trainer };
    // Once per request: a person may have it resent.
    const ofRequest = dispatch.askedAt === null ? "" : `-${dispatch.askedAt}`;
    for (const effect of effects) {
      switch (effect) {
        case "announce_request": {
          const text = announceTrigger(announced, { ...order, feature: record.feature });
          await notify({ ...about, kind: "training_triggered", text }, ofRequest);
          break;
        }
        case "announce_unknown":
          await notify({ ...about, kind: "dispatch_unknown", text: announceUnknown(announced) }, ofRequest);
          break;
        case "announce_extra_runs": {
          const text = announceDoubles(announced, dispatch.extraRuns);
          await notify({ ...about, kind: "training_doubled", text });
          break;
        }
        case "announce_end": {
          const text = announceEnd(announced, { ...dispatch, alertsBackAt: alertsBackAt(record) });
          // Each attempt has its own end, and one that was presumed lost may have a second.
          const end = [dispatch.attempt ?? 1, dispatch.state, dispatch.conclusion ?? ""].join("-");
          await notify({ ...about, kind: "training_ended", text }, `-${end.replaceAll(/[^\w-]/g, "_")}`);
          break;
        }
        case "follow":
          await followTraining({ runId, model });
          break;
        case "release":
          await release(record);
          break;
        case "reevaluate":
          if (findPolicy(model)) await reevaluate(model);
          break;
        default:
          effect satisfies never;
      }
    }
  }

  /** The end of a training raises one question: was the model's latest decision waiting for it? */
  async function release({ model, dispatch }: DispatchRecord): Promise<void> {
    const policy = findPolicy(model);
    // Nothing is decided about a model that the settings no longer name.
    if (policy === null) return;
    const latest = await database.readLatestDecision(model);
    if (callsForReevaluation(dispatch, latest, policy)) await reevaluate(model);
  }

  function alertsBackAt(record: DispatchRecord): string | null {
    const { state, endedAt } = record.dispatch;
    if ((state !== "failed" && state !== "cancelled") || endedAt === null) return null;
    const at = findAlertsBackAt(record, endedAt);
    return at === null ? null : new Date(at).toISOString();
  }

  return { takeTurn, apply, carryOut, alertsBackAt };
}

type Comparison =
  { kind: "same"; request: DispatchRequest } | { kind: "differs"; haveSettingsChanged: boolean };

/** Renders the request from the current settings and compares it with the recorded one, which is never executed. */
function compareRequest(
  trainer: Trainer,
  { order, request, settingsHash, model }: DispatchRecord,
): Comparison {
  try {
    const rendered = trainer.renderRequest(order);
    // As JSON, which is how the recorded one was stored.
    if (isDeepStrictEqual(JSON.parse(JSON.stringify(rendered)), request))
      return { kind: "same", request: rendered };
    const haveSettingsChanged = settingsHash === null || settingsHash !== hashSettings(trainer, model);
    return { kind: "differs", haveSettingsChanged };
  } catch (error) {
    if (error instanceof PermanentError) return { kind: "differs", haveSettingsChanged: true };
    throw error;
  }
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
