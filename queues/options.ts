import type { JobsOptions } from "bullmq";

const DAY_SECONDS = 24 * 60 * 60;

/** Name of the backoff strategy that `workers/register.ts` defines with `computeBackoffMs`. */
const BACKOFF = "capped-exponential";

/** Attempts and retention of every job: about four minutes of tries, then a month of history for Bull Board. */
export const JOB_OPTIONS = {
  attempts: 30,
  backoff: { type: BACKOFF },
  removeOnComplete: { count: 5_000, age: 30 * DAY_SECONDS },
  removeOnFail: { count: 5_000, age: 90 * DAY_SECONDS },
  keepLogs: 200,
  stackTraceLimit: 20,
} satisfies JobsOptions;

/** Inbox jobs are small, and many may come at once: more of them are kept, so that each shows which run covers it. */
export const INBOX_JOB_OPTIONS = {
  ...JOB_OPTIONS,
  removeOnComplete: { ...JOB_OPTIONS.removeOnComplete, count: 20_000 },
} satisfies JobsOptions;

/** A notification is tried for about a day, at the end every ten minutes. */
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

/** How often a job is tried while a server is away, whatever attempts its producer allowed: for about a day. */
export const TRIES_WHILE_AWAY = 8_640;

/** How long a follow-up waits before it checks whether the lock is free; the run that ends wakes it earlier. */
export const FOLLOW_UP_DELAY_MS = 1_000;

/** Requests that are already on the inbox run before a follow-up: it covers them as well. */
export const FOLLOW_UP_PRIORITY = 1;

/**
 * The clocks of Redis's clients and of Postgres differ a little; a follow-up that came early would only have to be
 * repeated.
 */
export const NEXT_LOOK_MARGIN_MS = 100;
