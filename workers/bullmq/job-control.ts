import { DelayedError, type Job, UnrecoverableError, WaitingChildrenError } from "bullmq";
import { computeBackoffMs, TRIES_WHILE_AWAY } from "../../queues/options.ts";
import { messageOf, PermanentError } from "../../src/core/errors.ts";
import type { Logger } from "../../src/process/logger.ts";
import { isServerAway } from "../../src/redis/refusal.ts";

export type Processor<T> = (job: Job, token?: string, signal?: AbortSignal) => Promise<T>;

/**
 * Delays a failed job without using up an attempt, unless that has happened too often. It warns, except while a server is
 * away: a line for each job would be noise.
 */
export async function retryLater(
  job: Job,
  token: string | undefined,
  error: unknown,
  log: Logger,
): Promise<void> {
  if (isJobMoved(error)) throw error;
  const attempt = job.attemptsStarted;
  if (attempt >= TRIES_WHILE_AWAY) return;
  log[isServerAway(error) ? "debug" : "warn"]({ err: messageOf(error), attempt }, "failed; will be retried");
  await delay(job, computeBackoffMs(attempt), token);
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
