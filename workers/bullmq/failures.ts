import type { Job } from "bullmq";
import type { Chain } from "../../queues/chain.ts";
import { INBOX, NOTIFICATIONS, type QueueName, STAGES } from "../../queues/names.ts";
import type { Notify } from "../../queues/notifications.ts";
import { messageOf } from "../../src/core/errors.ts";
import { announceFailedChain } from "../../src/core/report/announce.ts";
import type { Logger } from "../../src/process/logger.ts";
import type { DecisionLock } from "../../src/redis/decision-lock.ts";
import { isServerAway } from "../../src/redis/refusal.ts";
import type { FailedModels } from "../failed-models.ts";
import { endRun } from "../follow-up.ts";
import { isJobMoved, isLastAttempt, isPermanent, type Processor } from "./job-control.ts";
import { modelOf, runIdOf } from "./job-identity.ts";

export interface FailureOptions {
  prefix: string;
  lock: DecisionLock;
  chain: Chain;
  log: Logger;
  notify: Notify;
  failedModels: Pick<FailedModels, "failed" | "decided">;
  /** Called when an inbox job has failed for good: an event that it recorded may still need a chain. */
  onInboxFailure: () => void;
  /** Makes sure that a training job settles the dispatch, because the act stage no longer does. */
  followTraining(job: { runId: string; model: string }): Promise<void>;
}

/**
 * Notifies people before a job fails for good: if the worker dies in between, the next one notifies again. Jobs that fail
 * because they stalled never get here; `endFailedJob` notifies about those.
 */
export function withFailureNotice<T>(
  options: FailureOptions,
  queue: QueueName,
  processor: Processor<T>,
): Processor<T> {
  return async (job, token, signal) => {
    try {
      return await processor(job, token, signal);
    } catch (error) {
      const isLast = isPermanent(error) || isLastAttempt(job);
      if (isLast && !isJobMoved(error)) await notifyFailure(options, queue, job, error, job.attemptsMade + 1);
      throw error;
    }
  };
}

async function notifyFailure(
  { notify, failedModels, prefix, log }: FailureOptions,
  queue: QueueName,
  job: Job,
  error: unknown,
  attempt: number,
): Promise<void> {
  if (queue === NOTIFICATIONS) return;
  const [model, runId] = [modelOf(job), runIdOf(queue, job, prefix)];
  const text = announceFailedChain(model, queue, runId, messageOf(error));
  const about = { queue, id: String(job.id) };
  const notification = { kind: "chain_failed", model, runId, decisionId: null, job: about, text } as const;
  const suffix = `-${queue}-${attempt}`;
  try {
    await notify(notification, suffix);
    // A bad event stays one. A run that failed is over once the model is decided about again.
    if (STAGES.some((stage) => stage === queue)) await failedModels.failed(model, { runId, queue, suffix });
  } catch (failure) {
    log[isServerAway(failure) ? "debug" : "warn"](
      { err: failure, runId, model },
      "could not send the notification of a failed chain",
    );
  }
}

/** After a job's last attempt: logs it, releases the lock of its run and notifies people. */
export async function endFailedJob(
  options: FailureOptions,
  queue: QueueName,
  job: Job | undefined,
  error: Error,
): Promise<void> {
  // Not its last attempt.
  if (job?.finishedOn === undefined) return;
  const { lock, chain, log, prefix, onInboxFailure, followTraining } = options;
  const model = modelOf(job);
  const runId = runIdOf(queue, job, prefix);
  // A permanent error says what to fix; where it was found in the code helps nobody.
  const err = isPermanent(error) ? error.message : error;
  log.error({ err, queue, jobId: job.id, runId, model, attempt: job.attemptsMade }, "failed for good");
  if (queue === NOTIFICATIONS) return;
  try {
    await endRun(lock, chain, model, runId);
  } catch (error) {
    log.debug({ err: error, runId, model }, "lock not released; it will expire");
  }
  await notifyFailure(options, queue, job, error, job.attemptsMade);
  if (queue === INBOX) onInboxFailure();
  // The decision may be recorded and its training requested: a dispatch that holds the model must still be settled.
  if (queue === "act")
    await followTraining({ runId, model }).catch((failure: unknown) =>
      log.warn({ err: failure, runId, model }, "dispatch not handed over; the reconciler will resume it"),
    );
}
