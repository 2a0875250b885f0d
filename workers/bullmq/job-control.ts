import { DelayedError, type Job, UnrecoverableError, WaitingChildrenError } from "bullmq";
import { computeBackoffMs, TRIES_WHILE_AWAY } from "../../queues/options.ts";
import { messageOf, PermanentError } from "../../src/core/errors.ts";
import type { Logger } from "../../src/process/logger.ts";
import { isServerAway } from "../../src/redis/refusal.ts";
import { modelOf } from "./job-identity.ts";
import type { LoggedReasons } from "./logged-reasons.ts";

export type Processor<T> = (job: Job, token?: string, signal?: AbortSignal) => Promise<T>;

/** Delays a failed job without using up an attempt, unless that has happened too often. */
export async function retryLater(
  job: Job,
  token: string | undefined,
  error: unknown,
  logs: { log: Logger; reasons: LoggedReasons },
): Promise<void> {
  if (isJobMoved(error)) throw error;
  const attempt = job.attemptsStarted;
  if (attempt >= TRIES_WHILE_AWAY) return;
  logRetry(job, error, attempt, logs);
  await delay(job, computeBackoffMs(attempt), token);
}

/** Logs why an attempt failed: once for each reason, and not if a server is away, which has a line of its own. */
export function logRetry(
  job: Job,
  error: unknown,
  attempt: number,
  { log, reasons }: { log: Logger; reasons: LoggedReasons },
): void {
  const { id: jobId, queueName: queue } = job;
  const why = messageOf(error);
  const level = isServerAway(error) ? "debug" : reasons.levelFor(`${queue} ${jobId}`, why, "warn");
  log[level]({ model: modelOf(job), queue, why, attempt, jobId }, "failed; will be retried");
}

/** Makes a job wait for its child. @throws WaitingChildrenError unless the child has completed. */
export async function waitForChild(job: Job, token: string | undefined): Promise<void> {
  if (token !== undefined && (await job.moveToWaitingChildren(token))) throw new WaitingChildrenError();
}

/** Delays a job without using up an attempt. @throws DelayedError always, as BullMQ requires. */
export async function delay(job: Job, delayMs: number, token: string | undefined): Promise<never> {
  await job.moveToDelayed(Date.now() + delayMs, token);
  throw new DelayedError();
}

/** Maps a permanent error to BullMQ's own class. Cause and code are lost, but Redis would not store them anyway. */
export function toBullError(error: unknown): unknown {
  return error instanceof PermanentError ? new UnrecoverableError(error.message) : error;
}

/** Whether this is the last attempt that the job's options allow. */
export function isLastAttempt(job: Job): boolean {
  return job.attemptsMade + 1 >= (job.opts.attempts ?? 1);
}

export function isPermanent(error: unknown): boolean {
  return error instanceof PermanentError || error instanceof UnrecoverableError;
}

/** Whether the processor has moved the job itself, so that BullMQ neither completes nor fails it and counts no attempt. */
export function isJobMoved(error: unknown): boolean {
  return error instanceof DelayedError || error instanceof WaitingChildrenError;
}

/** Milliseconds since `startedAt`, to a tenth. */
export function elapsedMs(startedAt: number): number {
  return Math.round((performance.now() - startedAt) * 10) / 10;
}
