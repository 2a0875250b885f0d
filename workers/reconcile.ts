import type { Queue } from "bullmq";
import type { Redis } from "ioredis";
import type { Chain } from "../queues/chain.ts";
import { type Claims, syncSchedules } from "../queues/schedule.ts";
import { messageOf } from "../src/core/errors.ts";
import type { Database } from "../src/postgres/database.ts";
import { isSettledWithin } from "../src/process/lifecycle.ts";
import type { Logger } from "../src/process/logger.ts";
import type { ServerState } from "../src/process/server-state.ts";
import type { DecisionLock } from "../src/redis/decision-lock.ts";
import { isServerAway } from "../src/redis/refusal.ts";
import { findTrainer, type Trainers } from "../src/trainers/trainers.ts";
import { reevaluate } from "./follow-up.ts";

export interface ReconcilerDependencies {
  lock: DecisionLock;
  chain: Chain;
  redis: Redis;
  redisState: ServerState;
  /** Prefix of the key whose absence shows that Redis was emptied. */
  prefix: string;
  inbox: Queue;
  /** Cron pattern of each model, null for none. */
  schedules: ReadonlyMap<string, string | null>;
  /** Which models the services on this prefix serve. */
  claims: Claims;
  database: Pick<Database, "listModelStates" | "listOpenDispatches" | "moveEvents">;
  training: Queue;
  trainers: Pick<Trainers, "of">;
  /** Makes sure that a job follows the training to its end. */
  followTraining(job: { runId: string; model: string }): Promise<void>;
  log: Logger;
}

export interface Reconciler {
  /** Runs soon, instead of within the hour. */
  runSoon(): void;
  stop(): Promise<void>;
}

const INTERVAL_MS = 5_000;
/** A Redis that does not respond within this time counts as away, even if its connection is open. */
const RESPONSE_LIMIT_MS = 3_000;
/** Interval of the routine pass. Long, because a cloud database may be billed for the hours it is awake. */
const PERIOD_MS = 60 * 60_000;
/** Twice, five seconds apart: the first pass skips rows whose jobs may still be on their way to Redis. */
const PASSES = 2;

/**
 * Restores what Redis lost, as far as Postgres and the settings can tell: the schedules, each model's scheduled follow-up,
 * the chains of runs that events wait for, and the jobs that work on dispatches. It runs at start, when Redis comes back or
 * was emptied, when an inbox job failed for good, and once an hour; in between, it checks one key in Redis every five
 * seconds.
 */
export async function startReconciler(dependencies: ReconcilerDependencies): Promise<Reconciler> {
  const { redis, redisState, prefix, inbox, schedules, claims, log } = dependencies;
  const marker = `${prefix}:reconciled`;
  let passesLeft = PASSES;
  let ranAt = 0;
  let lastFailure = "";
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;

  const runSoon = (): void => {
    passesLeft = PASSES;
  };

  async function run(): Promise<void> {
    const reply = redis.exists(marker);
    if (!(await isSettledWithin(reply, RESPONSE_LIMIT_MS)))
      redisState.away("reconciler", `no response within ${RESPONSE_LIMIT_MS} ms`);
    if ((await reply) === 0) runSoon();
    redisState.back("reconciler");
    if (passesLeft === 0 && performance.now() - ranAt < PERIOD_MS) return;
    await syncSchedules(inbox, schedules, claims);
    await resumeModels(dependencies);
    await resumeDispatches(dependencies);
    await redis.set(marker, new Date().toISOString());
    ranAt = performance.now();
    passesLeft = Math.max(0, passesLeft - 1);
  }

  async function runAndReschedule(): Promise<void> {
    try {
      await run();
    } catch (error) {
      const message = messageOf(error);
      // A server that is away has its own log line.
      const level = isServerAway(error) || message === lastFailure ? "debug" : "warn";
      log[level]({ err: message }, "reconciliation failed; will be retried");
      lastFailure = message;
    }
    if (!isStopped) timer = setTimeout(() => void (current = runAndReschedule()), INTERVAL_MS);
  }

  redis.on("ready", runSoon);
  let current = runAndReschedule();
  await current;
  return {
    runSoon,
    async stop() {
      isStopped = true;
      redis.off("ready", runSoon);
      clearTimeout(timer);
      await current;
    },
  };
}

/**
 * Restores each model's scheduled follow-up, and each run that events wait for if it is neither in Redis nor finished.
 */
async function resumeModels(dependencies: ReconcilerDependencies): Promise<void> {
  const { chain, database, schedules, log } = dependencies;
  for (const state of await database.listModelStates([...schedules.keys()])) {
    const { model, nextLook, isOverdue, openRunIds } = state;
    // The follow-up of an overdue evaluation ran without recording a decision, for instance because its run failed.
    if (isOverdue && openRunIds.length === 0) {
      await reevaluate(dependencies, model);
      log.info({ model }, "overdue evaluation requested");
    } else if (nextLook) await chain.scheduleNextLook({ model, ...nextLook });
    for (const runId of openRunIds)
      if (await resumeRun(dependencies, model, runId)) log.info({ runId, model }, "run resumed");
  }
}

async function resumeRun(
  { lock, chain, database }: ReconcilerDependencies,
  model: string,
  runId: string,
): Promise<boolean> {
  const state = await chain.stateOf(runId);
  if (state === "open" || (state === "absent" && (await chain.hasFollowUp(runId)))) return false;
  if (state === "absent") await chain.requestFollowUp(model, runId, "missing");
  // Its chain ended without covering the event: it was superseded, and handed over its events before this one arrived.
  else await reevaluate({ lock, chain, database }, model, runId);
  return true;
}

/** Resumes orphaned dispatches: those that are not finished and have no job. */
async function resumeDispatches({
  chain,
  database,
  training,
  trainers,
  followTraining,
  log,
}: ReconcilerDependencies): Promise<void> {
  for (const { runId, state, ...dispatch } of await database.listOpenDispatches()) {
    if (!findTrainer(trainers, dispatch)) continue;
    const { model } = dispatch;
    if (state === "pending" && (await chain.isActOpen(runId))) continue;
    const job = await training.getJobState(runId);
    // For an unknown or failed training, a job that has ended has done its work; for any other, it ended too early.
    const isTerminal = job === "completed" || job === "failed";
    const isUnderWay = state === "pending" || state === "sent" || state === "running";
    if (job !== "unknown" && !(isTerminal && isUnderWay)) continue;
    await followTraining({ runId, model });
    log.info({ runId, model }, "dispatch resumed");
  }
}
