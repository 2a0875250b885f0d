import type { Queue } from "bullmq";
import { forEachAtOnce, REQUESTS_AT_ONCE } from "../queues/at-once.ts";
import type { Chain } from "../queues/chain.ts";
import { type Claims, syncSchedules } from "../queues/schedule.ts";
import type { ModelConfig } from "../src/config/model-config.ts";
import { messageOf } from "../src/core/errors.ts";
import type { Database } from "../src/postgres/database.ts";
import { isSettledWithin } from "../src/process/lifecycle.ts";
import type { Logger } from "../src/process/logger.ts";
import type { ServerState } from "../src/process/server-state.ts";
import type { DecisionLock } from "../src/redis/decision-lock.ts";
import { isServerAway } from "../src/redis/refusal.ts";
import type { RedisConnection } from "../src/redis/target.ts";
import { findTrainer, type Trainers } from "../src/trainers/trainers.ts";
import { importOutcomes } from "../src/use-cases/import-outcomes.ts";
import { relayOutbox } from "../src/use-cases/send-event.ts";
import type { FailedModels } from "./failed-models.ts";
import { reevaluate } from "./follow-up.ts";

export interface ReconcilerDependencies {
  lock: DecisionLock;
  chain: Chain;
  redis: RedisConnection;
  redisState: ServerState;
  /** Prefix of the key whose absence shows that Redis was emptied. */
  prefix: string;
  inbox: Queue;
  /** The models in force. */
  listModels(): ReadonlyMap<
    string,
    Pick<ModelConfig, "policy" | "schedule" | "expectDriftRunEveryMs" | "outcomes">
  >;
  /** Which models the services on this prefix serve. */
  claims: Claims;
  database: Pick<
    Database,
    | "listModelStates"
    | "listOpenDispatches"
    | "moveEvents"
    | "readLatestDecision"
    | "listOutbox"
    | "removeFromOutbox"
    | "readOutcomeView"
    | "findReportable"
    | "saveOutcomes"
    | "sweepCounters"
  >;
  training: Queue;
  trainers: Pick<Trainers, "of" | "before">;
  /** Makes sure that a job follows the training to its end. */
  followTraining(job: { runId: string; model: string }): Promise<void>;
  failedModels: Pick<FailedModels, "refresh" | "closeDecided">;
  log: Logger;
}

export interface Reconciler {
  /** Runs soon, instead of within the hour. */
  runSoon(): void;
  /** Carries out what a reload of the settings leads to: now, or once the servers are back. */
  follow(changes: ReloadedModels): Promise<void>;
  stop(): Promise<void>;
}

/** The models that a reload of the settings leaves work for. */
export interface ReloadedModels {
  /** Their scheduled follow-up is removed, unless another live service serves them. */
  removed: readonly string[];
  /** They are re-evaluated, because their latest decision says by an old policy when to look next. */
  rejudged: readonly string[];
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
 * was emptied, when an inbox job failed for good, and once an hour. The hourly pass also reads the views of outcomes and folds
 * counters. Every five seconds it asks Redis whether it was emptied and which models have failed.
 */
export async function startReconciler(dependencies: ReconcilerDependencies): Promise<Reconciler> {
  const { redis, redisState, prefix, inbox, listModels, claims, failedModels, log } = dependencies;
  const marker = `${prefix}:reconciled`;
  let passesLeft = PASSES;
  let ranAt = 0;
  let importedAt = Number.NEGATIVE_INFINITY;
  let lastFailure = "";
  let isStopped = false;
  let timer: NodeJS.Timeout | undefined;
  const asked = new Set<string>();
  const left = { removed: new Set<string>(), rejudged: new Set<string>() };

  const runSoon = (): void => {
    passesLeft = PASSES;
  };

  async function run(): Promise<void> {
    const reply = redis.exists(marker);
    if (!(await isSettledWithin(reply, RESPONSE_LIMIT_MS)))
      redisState.away("reconciler", `no response within ${RESPONSE_LIMIT_MS} ms`);
    if ((await reply) === 0) runSoon();
    redisState.back("reconciler");
    await failedModels.refresh();
    if (passesLeft === 0 && performance.now() - ranAt < PERIOD_MS) return;
    const schedules = new Map([...listModels()].map(([model, { schedule }]) => [model, schedule]));
    await syncSchedules(inbox, schedules, claims);
    await removeFollowUps(dependencies, left.removed);
    await rejudgeModels(dependencies, left.rejudged);
    await relayOutbox({ database: dependencies.database, client: { inbox } });
    await resumeModels(dependencies, asked);
    await resumeDispatches(dependencies);
    await failedModels.closeDecided();
    if (performance.now() - importedAt >= PERIOD_MS) {
      importedAt = performance.now();
      await readOutcomes(dependencies);
      // Not awaited: it may have to wait for a count, and what Redis lost must not.
      dependencies.database
        .sweepCounters()
        .catch((error: unknown) => log.debug({ err: error }, "counters not folded"));
    }
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
    async follow({ removed, rejudged }) {
      for (const model of removed) left.removed.add(model);
      for (const model of rejudged) left.rejudged.add(model);
      current = current.then(() => {
        clearTimeout(timer);
        runSoon();
        return isStopped ? undefined : runAndReschedule();
      });
      await current;
    },
    async stop() {
      isStopped = true;
      redis.off("ready", runSoon);
      clearTimeout(timer);
      await current;
    },
  };
}

/** Reads the views of outcomes. What is wrong with one is logged, and stops nothing else. */
async function readOutcomes({ database, listModels, log }: ReconcilerDependencies): Promise<void> {
  for (const { view, rows, saved, faults } of await importOutcomes(database, listModels())) {
    if (saved > 0) log.info({ view, rows, saved }, "outcomes imported");
    if (faults.length > 0)
      log.warn(
        { view, rows, faults: faults.slice(0, 5) },
        "a view of outcomes is faulty: npx retrigger outcome --import",
      );
  }
}

/** Removes the scheduled follow-ups of removed models. @param left Emptied once that is done. */
async function removeFollowUps(
  { chain, database, claims, listModels }: ReconcilerDependencies,
  left: Set<string>,
): Promise<void> {
  if (left.size === 0) return;
  const models = [...left];
  // After the claims were synced: of several services that remove a model, the last one finds that no other has it.
  const elsewhere = await claims.listElsewhere();
  const gone = models.filter((model) => !elsewhere.has(model) && !listModels().has(model));
  const states = await database.listModelStates(new Map(gone.map((model) => [model, null])));
  await forEachAtOnce(states, REQUESTS_AT_ONCE, async ({ model, nextLook }) => {
    if (nextLook) await chain.cancelNextLook(model, nextLook.decisionId);
  });
  for (const model of models) left.delete(model);
}

/** Requests a follow-up of each model that has a decision. @param left Those that are done are removed. */
async function rejudgeModels(dependencies: ReconcilerDependencies, left: Set<string>): Promise<void> {
  await forEachAtOnce([...left], REQUESTS_AT_ONCE, async (model) => {
    const isServed = dependencies.listModels().has(model);
    if (isServed && (await dependencies.database.readLatestDecision(model)))
      await reevaluate(dependencies, model);
    left.delete(model);
  });
}

/**
 * Restores each model's scheduled follow-up, and each run that events wait for if it is neither in Redis nor finished.
 *
 * @param asked The models whose first evaluation was requested. It is requested once: if it fails, as it does for a source
 *   that cannot be read, the run itself says so.
 */
async function resumeModels(dependencies: ReconcilerDependencies, asked: Set<string>): Promise<void> {
  const { chain, database, listModels, log } = dependencies;
  const states = await database.listModelStates(listModels());
  await forEachAtOnce(states, REQUESTS_AT_ONCE, async (state) => {
    const { model, nextLook, isOverdue, isNew, openRunIds } = state;
    if (isNew && isOverdue && openRunIds.length === 0) {
      if (asked.has(model)) return;
      asked.add(model);
    }
    // For instance, the run of a follow-up failed, so that it recorded no decision.
    if (isOverdue && openRunIds.length === 0) {
      await reevaluate(dependencies, model);
      log.info({ model }, "overdue evaluation requested");
    } else if (nextLook) await chain.scheduleNextLook({ model, ...nextLook });
    for (const runId of openRunIds)
      if (await resumeRun(dependencies, model, runId)) log.info({ runId, model }, "run resumed");
  });
}

async function resumeRun(
  { lock, chain, database }: ReconcilerDependencies,
  model: string,
  runId: string,
): Promise<boolean> {
  const state = await chain.stateOf(runId);
  const followUp = state === "absent" ? await chain.followUpStateOf(runId) : "done";
  if (state === "open" || followUp === "open") return false;
  if (followUp === "absent") await chain.requestFollowUp(model, runId, "missing");
  // It ended without covering the event: its chain was superseded, and handed over its events before this one arrived, or its
  // follow-up started no chain, because the model had been removed from the settings.
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
