import type { TrainingJob } from "../queues/jobs.ts";
import type { Notify, NotifyEnd } from "../queues/notifications.ts";
import type { ModelConfig } from "../src/config/config.ts";
import { computeAlertsBackAt } from "../src/core/backoff.ts";
import type { Dispatch } from "../src/core/dispatch/dispatch.ts";
import { callsForReevaluation } from "../src/core/dispatch/effects.ts";
import type { DispatchEffect } from "../src/core/dispatch/transition.ts";
import { PermanentError } from "../src/core/errors.ts";
import { backoffOf, countRequiredAlerts, type Policy } from "../src/core/policy.ts";
import {
  announceEnd,
  announceExtraRuns,
  announceSettled,
  announceTrigger,
  announceUnknown,
} from "../src/core/report/announce.ts";
import type { Database } from "../src/postgres/database.ts";
import type { DispatchRecord } from "../src/postgres/dispatches.ts";

export interface EffectDependencies {
  database: Pick<Database, "readLatestDecision" | "findFailureBefore">;
  /** @throws PermanentError for a model that the settings do not name. */
  findModel(model: string): ModelConfig;
  notify: Notify;
  notifyEnd: NotifyEnd;
  /** Makes sure that a job follows the training to its end. */
  followTraining(job: Omit<TrainingJob, "note">): Promise<void>;
  /** Requests a run that re-evaluates the model. */
  reevaluate(model: string): Promise<unknown>;
}

/** Carries out the effects of a dispatch's state, and computes when the alerts of a failed training are released. */
export interface DispatchEffects {
  /** Idempotent. @param hasFailed Whether this training has failed before. */
  carryOut(record: DispatchRecord, effects: readonly DispatchEffect[], hasFailed?: boolean): Promise<void>;
  /** Notifies that the outcome of a request is known which was notified of as unknown. Idempotent. */
  closeUnknown(record: DispatchRecord, askedAt: number): Promise<void>;
  /** ISO 8601: when the alerts of a failed training may start another one; null if none are held back. */
  alertsBackAt(record: DispatchRecord): string | null;
  /** The same for a training that ended at `endedAt`, in Unix milliseconds. */
  findAlertsBackAt(record: DispatchRecord, endedAt: number): number | null;
  /** The policy of a model; null if the settings no longer name it. */
  findPolicy(model: string): Policy | null;
}

/** The request of which it is unknown whether it arrived: by the time the training is followed, it may be settled. */
function findUnknown({ state, askedAt }: Dispatch): Pick<TrainingJob, "unknownRequest"> {
  return state === "unknown" && askedAt !== null ? { unknownRequest: askedAt } : {};
}

export function createDispatchEffects(dependencies: EffectDependencies): DispatchEffects {
  const { database, notify, notifyEnd, followTraining, reevaluate } = dependencies;

  function findAlertsBackAt({ model, alerts }: DispatchRecord, endedAt: number): number | null {
    const policy = findPolicy(model);
    if (policy === null) return null;
    return computeAlertsBackAt(
      alerts,
      { base: backoffOf(policy), required: countRequiredAlerts(policy) },
      endedAt,
    );
  }

  function findPolicy(model: string): Policy | null {
    try {
      return dependencies.findModel(model).policy;
    } catch (error) {
      if (error instanceof PermanentError) return null;
      throw error;
    }
  }

  async function carryOut(
    record: DispatchRecord,
    effects: readonly DispatchEffect[],
    hasFailed = false,
  ): Promise<void> {
    const { dispatch, decisionId, model, runId, order } = record;
    const ids = { model, runId, decisionId };
    const announced = { ...dispatch, model, decisionId, trainer: record.trainer };
    // Once per request: it may be resent by hand.
    const requestSuffix = dispatch.askedAt === null ? "" : `-${dispatch.askedAt}`;
    for (const effect of effects) {
      switch (effect) {
        case "announce_request": {
          const text = announceTrigger(announced, { ...order, feature: record.feature, unit: record.unit });
          await notify({ ...ids, kind: "training_triggered", text }, requestSuffix);
          break;
        }
        case "announce_unknown":
          await notify({ ...ids, kind: "dispatch_unknown", text: announceUnknown(announced) }, requestSuffix);
          break;
        case "announce_extra_runs": {
          const text = announceExtraRuns(announced, dispatch.extraRuns);
          await notify({ ...ids, kind: "training_doubled", text });
          break;
        }
        case "announce_end": {
          const failure = await findEndedFailure(record, hasFailed);
          const text = announceEnd(announced, {
            ...dispatch,
            alertsBackAt: alertsBackAt(record),
            failedBefore: failure?.decisionId ?? null,
          });
          const resolves = failure && { kind: "training_ended" as const, ...failure };
          // Each attempt ends on its own, and one presumed lost may end a second time.
          const end = [dispatch.attempt ?? 1, dispatch.state, dispatch.conclusion ?? ""].join("-");
          const notification = {
            ...ids,
            kind: "training_ended" as const,
            ...(resolves && { resolves }),
            text,
          };
          await notify(notification, `-${end.replaceAll(/[^\w-]/g, "_")}`);
          break;
        }
        case "follow":
          await followTraining({ runId, model, ...findUnknown(dispatch) });
          break;
        case "reevaluate_if_blocked":
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

  /** Re-evaluates the model if its latest decision was waiting for the training. */
  async function release({ model, dispatch }: DispatchRecord): Promise<void> {
    const policy = findPolicy(model);
    // A model that the settings no longer name is not evaluated.
    if (policy === null) return;
    const latest = await database.readLatestDecision(model);
    const hasBackoff = backoffOf(policy) !== null;
    if (callsForReevaluation(dispatch, latest, { hasBackoff })) await reevaluate(model);
  }

  async function closeUnknown(record: DispatchRecord, askedAt: number): Promise<void> {
    const { dispatch, decisionId, model, runId, trainer } = record;
    const text = announceSettled({ ...dispatch, model, decisionId, trainer }, dispatch.askedAt !== askedAt);
    const resolves = { kind: "dispatch_unknown", runId, decisionId } as const;
    await notifyEnd(
      { kind: "dispatch_unknown", runId, suffix: `-${askedAt}` },
      { kind: "dispatch_settled", model, runId, decisionId, resolves, text },
    );
  }

  /** The failure that a success ends: an earlier one of the same training, else the one of the training before. */
  async function findEndedFailure(
    record: DispatchRecord,
    hasFailed: boolean,
  ): Promise<{ decisionId: number; runId: string } | null> {
    const { decisionId, runId, dispatch } = record;
    if (dispatch.state !== "succeeded") return null;
    return hasFailed ? { decisionId, runId } : database.findFailureBefore(decisionId);
  }

  function alertsBackAt(record: DispatchRecord): string | null {
    const { state, endedAt } = record.dispatch;
    if ((state !== "failed" && state !== "cancelled") || endedAt === null) return null;
    const at = findAlertsBackAt(record, endedAt);
    return at === null ? null : new Date(at).toISOString();
  }

  return { carryOut, closeUnknown, alertsBackAt, findAlertsBackAt, findPolicy };
}
