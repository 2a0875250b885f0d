import type { JobsOptions } from "bullmq";

const DAY_SECONDS = 24 * 60 * 60;

/** Name of the backoff strategy that `workers/bullmq/workers.ts` defines with `computeBackoffMs`. */
const BACKOFF = "capped-exponential";

/** Attempts and retention of every job: about three minutes of attempts, then a month of history for Bull Board. */
export const JOB_OPTIONS = {
  attempts: 30,
  backoff: { type: BACKOFF },
  removeOnComplete: { count: 5_000, age: 30 * DAY_SECONDS },
  removeOnFail: { count: 5_000, age: 90 * DAY_SECONDS },
  keepLogs: 200,
  stackTraceLimit: 20,
} satisfies JobsOptions;

/** Inbox jobs are small, and many may arrive at once: more are kept, so that each can still show which run covers it. */
export const INBOX_JOB_OPTIONS = {
  ...JOB_OPTIONS,
  removeOnComplete: { ...JOB_OPTIONS.removeOnComplete, count: 20_000 },
} satisfies JobsOptions;

/** A notification is tried for about 18 hours, in the end every five to ten minutes. */
export const NOTIFICATION_OPTIONS = {
  ...JOB_OPTIONS,
  attempts: 150,
  backoff: { type: BACKOFF, delay: 600_000 },
} satisfies JobsOptions;

/** Bounds how much of a training's output is kept, in log entries. */
export const TRAINING_OPTIONS = { ...JOB_OPTIONS, keepLogs: 1_000 } satisfies JobsOptions;

/** Half a second, doubled with each attempt up to ten seconds (or `maxMs`), with jitter of up to half. */
export function computeBackoffMs(attemptsMade: number, maxMs = 10_000, random = Math.random()): number {
  const ceilingMs = Math.min(maxMs, 500 * 2 ** (attemptsMade - 1));
  return Math.round(ceilingMs * (1 - random / 2));
}

/** How often a job is tried while a server is away, regardless of the attempts that its producer allowed: about 18 hours. */
export const TRIES_WHILE_AWAY = 8_640;

/** How long a follow-up waits before it checks whether the lock is free. A run that ends wakes it earlier. */
export const FOLLOW_UP_DELAY_MS = 1_000;

/** Lets requests that are already on the inbox go first, because the follow-up covers them as well. */
export const FOLLOW_UP_PRIORITY = 1;

/**
 * The clocks of the workers and of Postgres differ a little, and a follow-up that runs too early has to be repeated.
 */
export const NEXT_LOOK_MARGIN_MS = 100;

/** For a job that runs later by the clock: if it continued the trace of its predecessor, that trace would never end. */
export const NEW_TRACE = { omitContext: true } satisfies JobsOptions["telemetry"];
