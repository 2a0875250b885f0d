import type { JobsOptions, WorkerOptions } from "bullmq";
import { INBOX, type QueueName, STAGES } from "./names.ts";

const DAY_SECONDS = 24 * 60 * 60;

/** Name of the backoff strategy that `workers/bullmq/workers.ts` defines with `computeBackoffMs`. */
const BACKOFF = "capped-exponential";

/** Attempts of every job: about three minutes. What is kept of it afterwards is an option of the workers. */
export const JOB_OPTIONS = {
  attempts: 30,
  backoff: { type: BACKOFF },
  keepLogs: 200,
  stackTraceLimit: 20,
} satisfies JobsOptions;

/**
 * How many jobs of a queue are kept for Bull Board: the runs in the settings, for a month if they completed, else for three.
 * Inbox jobs are small, and many may arrive at once: more are kept, so that each can still show which run covers it.
 */
export function computeRetention(
  queue: QueueName,
  historyRuns: number,
): Required<Pick<WorkerOptions, "removeOnComplete" | "removeOnFail">> {
  const isOfRun = STAGES.some((stage) => stage === queue);
  const kept = isOfRun || queue === INBOX ? historyRuns : KEPT_OTHERS;
  return {
    removeOnComplete: { count: queue === INBOX ? 4 * kept : kept, age: 30 * DAY_SECONDS },
    removeOnFail: { count: kept, age: 90 * DAY_SECONDS },
  };
}

/** Trainings, and notifications, whose ends refer to them. */
const KEPT_OTHERS = 5_000;

/** How many events of a queue Redis keeps for listeners. Each carries a result, and nobody listens to the past. */
export const KEPT_EVENTS = 1_000;

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
