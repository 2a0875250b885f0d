import type { Queue } from "bullmq";
import type { Redis } from "ioredis";
import { type Claims, syncSchedules } from "../queues/schedule.ts";
import { messageOf } from "../src/errors.ts";
import { isSettledWithin } from "../src/lifecycle.ts";
import type { Logger } from "../src/logger.ts";
import type { Database } from "../src/postgres/database.ts";
import type { ServerState } from "../src/server-state.ts";
import type { DecisionLock } from "../src/redis/decision-lock.ts";
import type { Chain } from "./chain.ts";
import { reevaluate } from "./follow-up.ts";
import { isServerAway } from "./job-control.ts";

export interface ReconcilerDependencies {
  lock: DecisionLock;
  chain: Chain;
  redis: Redis;
  redisState: ServerState;
  /** Prefix of the key by which an emptied Redis is recognised. */
  prefix: string;
  inbox: Queue;
  /** Cron pattern of each model, null for none. */
  schedules: ReadonlyMap<string, string | null>;
  /** Which models the services on this prefix have. */
  claims: Claims;
  database: Pick<Database, "listModelStates" | "listOpenDispatches" | "moveEvents">;
  training: Queue;
  /** Sees to it that a training is followed to its end. */
  followTraining(job: { runId: string; model: string }): Promise<void>;
  log: Logger;
}

export interface Reconciler {
  /** Runs soon, instead of within the hour. */
  runSoon(): void;
  stop(): Promise<void>;
}

const INTERVAL_MS = 5_000;
/** A Redis that does not answer within this time counts as away, even if its connection stands. */
const ANSWER_LIMIT_MS = 3_000;
/** How often it runs without a reason. Seldom, because a cloud database may be billed by the hour that it is awake. */
const PERIOD_MS = 60 * 60_000;
/** Twice, five seconds apart: what is a second old in the first pass may still be on its way. */
const PASSES = 2;

/**
 * Puts back what Redis lost, as far as Postgres and the settings know of it: the schedules, each model's next look, the chains
 * of runs that events wait for, and the jobs that work on dispatches. It runs at its start, when Redis comes back or was
 * emptied, when an inbox job failed for good, and once an hour; meanwhile it asks Redis for one key every five seconds.
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
    const asked = redis.exists(marker);
    if (!(await isSettledWithin(asked, ANSWER_LIMIT_MS)))
      redisState.away("reconciler", `no answer in ${ANSWER_LIMIT_MS} ms`);
    if ((await asked) === 0) runSoon();
    redisState.back("reconciler");
    if (passesLeft === 0 && performance.now() - ranAt < PERIOD_MS) return;
    await syncSchedules(inbox, schedules, claims);
    await resumeModels(dependencies);
    await resumeDispatches(dependencies);
    await redis.set(marker, new Date().toISOString());
    ranAt = performance.now();
    passesLeft = Math.max(0, passesLeft - 1);
  }

  async function takeTurn(): Promise<void> {
    try {
      await run();
    } catch (error) {
      const message = messageOf(error);
      // A server that is away has a line of its own.
      const level = isServerAway(error) || message === lastFailure ? "debug" : "warn";
      log[level](`reconciling failed, and will be tried again: ${message}`);
      lastFailure = message;
    }
    if (!isStopped) timer = setTimeout(() => void (turn = takeTurn()), INTERVAL_MS);
  }

  redis.on("ready", runSoon);
  let turn = takeTurn();
  await turn;
  return {
    runSoon,
    async stop() {
      isStopped = true;
      redis.off("ready", runSoon);
      clearTimeout(timer);
      await turn;
    },
  };
}

/** Puts back each model's next look, and each run that events wait for and that is neither in Redis nor at its end. */
async function resumeModels(dependencies: ReconcilerDependencies): Promise<void> {
  const { chain, database, schedules, log } = dependencies;
  for (const { model, nextLook, openRunIds } of await database.listModelStates([...schedules.keys()])) {
    if (nextLook) await chain.scheduleNextLook({ model, ...nextLook });
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
  // Its chain is over and does not cover the event: it was superseded, and handed its events on before this one came.
  else await reevaluate({ lock, chain, database }, model, runId);
  return true;
}

/** Resumes orphaned dispatches: those that are not at their end, and that no job works on. */
async function resumeDispatches({
  chain,
  database,
  training,
  followTraining,
  log,
}: ReconcilerDependencies): Promise<void> {
  for (const { runId, model, state } of await database.listOpenDispatches()) {
    if (state === "pending" && (await chain.isActAtWork(runId))) continue;
    const job = await training.getJobState(runId);
    // A job that has ended gave up on an unknown training, or watched a failed one to the end; others ended too early.
    const isOver = job === "completed" || job === "failed";
    const isUnderWay = state === "pending" || state === "sent" || state === "running";
    if (job !== "unknown" && !(isOver && isUnderWay)) continue;
    await followTraining({ runId, model });
    log.info({ runId, model }, "dispatch resumed");
  }
}
