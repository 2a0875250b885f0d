import { FlowProducer, type QueueOptions, type Worker } from "bullmq";
import { INBOX, NOTIFICATIONS, QUEUES, TRAINING } from "../queues/names.ts";
import { followTraining } from "../queues/training.ts";
import { createAct } from "../workers/act.ts";
import { type Chain, createChain } from "../queues/chain.ts";
import { evaluateStage } from "../workers/evaluate.ts";
import { createGather } from "../workers/gather.ts";
import { createDispatcher } from "../workers/dispatch.ts";
import { reevaluate } from "../workers/follow-up.ts";
import { createIntake } from "../workers/intake.ts";
import { createDelivery, createNotify } from "../workers/notify.ts";
import { startReconciler } from "../workers/reconcile.ts";
import { type Processors, registerWorkers } from "../workers/bullmq/workers.ts";
import { createSlots } from "../workers/slots.ts";
import { createSummarize } from "../workers/summarize.ts";
import { createTraining } from "../workers/training.ts";
import type { Config } from "./config/config.ts";
import { findModel } from "./config/find-model.ts";
import { createReleasers, isSettledWithin, retryUntilReady } from "./process/lifecycle.ts";
import type { Logger } from "./process/logger.ts";
import { createDatabase, type Database } from "./postgres/database.ts";
import { requireRedis } from "./redis/check.ts";
import { connectRedis } from "./redis/connection.ts";
import { createDecisionLock, type DecisionLock } from "./redis/decision-lock.ts";
import { createModelClaims } from "./redis/model-claims.ts";
import { openQueue } from "./redis/open-queue.ts";
import { createRedisWatch, type RedisWatch } from "./redis/watch.ts";
import { createServerState } from "./process/server-state.ts";
import { createRedactor } from "./process/redact.ts";
import { createTrainer } from "./trainers/registry.ts";
import type { Trainer } from "./trainers/trainer.ts";

/** Workers get this long to finish their jobs; after that, other workers take the jobs over. */
const DRAIN_LIMIT_MS = 20_000;
/** Programs of the command trainer that run in this process at once; others wait their turn. */
const MOST_LOCAL_RUNS = 8;
/** A queue closes at once, unless Redis is away. */
const QUEUE_CLOSE_LIMIT_MS = 500;

/** The running service. */
export interface App {
  /** Waits for both servers, migrates, then starts what the role requires. `signal` aborts the wait. */
  start(signal?: AbortSignal): Promise<void>;
  /** Stops in reverse order: HTTP, workers (drained), queues, Redis, Postgres. */
  stop(): Promise<void>;
  /** The address of the pages; null if the role has none, and before `start`. */
  address(): string | null;
}

/** The dependencies of the workers. */
export interface Parts {
  database: Database;
  lock: DecisionLock;
  chain: Chain;
  trainer: Trainer;
}

export interface AppOptions {
  /** false for a process that decides once and ends: schedules and lost runs are left to the service. */
  isService?: boolean;
  /** A short-lived process leaves trainings to others, or follows only those that run elsewhere. */
  trainings?: "run" | "followed" | "none";
  /** For tests: replaces parts, for example by a lock that locks nothing or by steps that kill the process. */
  replaceParts?: (parts: Parts) => Parts;
  replaceProcessors?: (processors: Processors) => Processors;
}

export function buildApp(config: Config, log: Logger, options: AppOptions = {}): App {
  const { isService = true, trainings = "run", replaceParts = same, replaceProcessors = same } = options;
  const releasers = createReleasers(log);
  const redisState = createServerState("Redis", log);
  const redact = createRedactor(config.secrets);
  const stopping = new AbortController();
  let address: string | null = null;
  let redisWatch: RedisWatch | undefined;

  function openRedis(failFast: boolean): QueueOptions & { connection: ReturnType<typeof connectRedis> } {
    const onRefusal = () => redisWatch?.suspect();
    const connection = connectRedis(config.redisUrl, redisState, { failFast, onRefusal });
    releasers.add("Redis", () => connection.disconnect());
    return { connection, prefix: config.redisPrefix };
  }

  /** Opens the fail-fast connection, which the watch shares with the web pages. */
  async function startWatch(): Promise<{ options: QueueOptions; watch: RedisWatch }> {
    const options = openRedis(true);
    const { connection: redis } = options;
    if (redis.status !== "ready") await new Promise((resolve) => redis.once("ready", resolve));
    const watch = createRedisWatch({ redis, state: redisState, settings: config });
    releasers.add("Redis watch", watch.stop);
    redisWatch = watch;
    return { options, watch };
  }

  async function startWorkers(database: Database, watch: RedisWatch): Promise<void> {
    const options = openRedis(false);
    const open = (name: (typeof QUEUES)[number]) => openQueue(name, options, log);
    const [inbox, act, summarize] = [open(INBOX), open("act"), open("summarize")];
    const [training, notifications] = [open(TRAINING), open(NOTIFICATIONS)];
    const flow = new FlowProducer(options);
    flow.on("error", (error) => log.debug({ err: error }, "flow producer error"));
    for (const part of [inbox, act, summarize, training, notifications, flow])
      releasers.add("queue", () => part.close(), QUEUE_CLOSE_LIMIT_MS);

    const { timeZone, lockTtlMs, redisPrefix: prefix } = config;
    const parts = replaceParts({
      database,
      lock: createDecisionLock(options.connection, prefix, lockTtlMs),
      chain: createChain({ inbox, act, summarize, flow }),
      trainer: await createTrainer(config, redact),
    });
    const { lock, chain, trainer } = parts;
    const { patience } = config;
    const notify = createNotify(notifications, config.notifications);
    const follow = (job: { runId: string; model: string }): Promise<void> =>
      // A program that runs here has nothing to wait for; elsewhere a training takes a while to begin.
      followTraining(training, job, trainer.remote?.run ? 0 : patience.pollMs);
    const reportSettings = {
      timeZone,
      // A model that was removed from the settings may still have a run to report.
      nameBufferSetting: (model: string) =>
        config.models.get(model)?.minBufferSizeSetting ?? "MIN_BUFFER_SIZE",
    };
    const find = (model: string) => findModel(config.models, model);
    const dispatcher = createDispatcher({
      ...parts,
      patience,
      notify,
      findModel: find,
      followTraining: follow,
      reevaluate: (model) => reevaluate(parts, model),
    });
    const claims = createModelClaims(options.connection, prefix, [...config.models.keys()]);
    if (isService) releasers.add("model claims", claims.release, QUEUE_CLOSE_LIMIT_MS);
    const reconciler = isService
      ? await startReconciler({
          ...parts,
          redis: options.connection,
          redisState,
          prefix,
          inbox,
          training,
          followTraining: follow,
          schedules: new Map([...config.models].map(([name, { schedule }]) => [name, schedule])),
          claims,
          log,
        })
      : null;
    if (reconciler) releasers.add("reconciler", reconciler.stop, QUEUE_CLOSE_LIMIT_MS);
    const workers = registerWorkers({
      connection: options.connection,
      prefix,
      lock,
      lockTtlMs,
      chain,
      log,
      notify,
      followsTrainings: trainings !== "none",
      trainingLockMs: trainer.remote?.run ? patience.runLockMs : patience.followLockMs,
      stopping: stopping.signal,
      servesModel: (model) => config.models.has(model),
      listModelsElsewhere: claims.listElsewhere,
      onInboxFailure: () => reconciler?.runSoon(),
      followTraining: follow,
      processors: replaceProcessors({
        intake: createIntake({
          lock,
          chain,
          recordEvent: parts.database.recordEvent,
          findModel: find,
          hasModel: (model) => config.models.has(model),
        }),
        gather: createGather({ findModel: find, fetchEvidence: parts.database.fetchEvidence, timeZone }),
        evaluate: evaluateStage,
        act: createAct({ ...parts, dispatcher, notify, findModel: find, ...reportSettings }),
        summarize: createSummarize(reportSettings),
        training: createTraining({
          ...parts,
          dispatcher,
          patience,
          isActAtWork: chain.isActAtWork,
          runSlots: createSlots(trainings === "run" ? MOST_LOCAL_RUNS : 0),
        }),
        deliver: createDelivery(config.notifications, redact),
      }),
    });
    releasers.add(
      "workers",
      async () => {
        // A training that runs here would take hours to drain.
        stopping.abort();
        const drained = Promise.all(workers.map((worker) => worker.close()));
        // Without Redis no job can be completed, so there is nothing to wait for.
        const isConnected = options.connection.status === "ready";
        if (await isSettledWithin(drained, isConnected ? DRAIN_LIMIT_MS : QUEUE_CLOSE_LIMIT_MS)) return;
        log.warn("workers did not drain in time; other workers take over their jobs");
        await isSettledWithin(Promise.all(workers.map((worker) => worker.close(true))), QUEUE_CLOSE_LIMIT_MS);
      },
      DRAIN_LIMIT_MS + 2 * QUEUE_CLOSE_LIMIT_MS,
    );
    await Promise.all(workers.map((worker) => worker.waitUntilReady()));
    watch.onChange((isRefusing) => {
      if (stopping.signal.aborted) return;
      setPaused(workers, isRefusing);
      // A failover loses what the old master had not replicated yet.
      if (!isRefusing) reconciler?.runSoon();
    });
    void warnOfTrainer(trainer, log);
  }

  async function startWeb(database: Database, options: QueueOptions, redisWatch: RedisWatch): Promise<void> {
    const queues = QUEUES.map((name) => openQueue(name, options, log));
    for (const queue of queues) releasers.add("queue", () => queue.close(), QUEUE_CLOSE_LIMIT_MS);
    // Loaded on demand: a worker without pages does not need Express and Bull Board in memory.
    const { startServer } = await import("./http/server.ts");
    const server = await startServer({ config, database, redisWatch, queues, log });
    releasers.add("HTTP", server.close);
    ({ address } = server);
  }

  return {
    async start(signal) {
      const database = createDatabase(config, log);
      releasers.add("Postgres", database.close);
      await retryUntilReady("Redis", () => requireRedis(config), { log, signal });
      const migrations = await retryUntilReady("Postgres", () => database.migrate(), { log, signal });
      if (migrations.length > 0) log.info({ migrations }, "migrated");
      const { options, watch } = await startWatch();
      if (config.role !== "web") await startWorkers(database, watch);
      if (config.role !== "worker") await startWeb(database, options, watch);
      log.info(
        { role: config.role, address, models: [...config.models.keys()].slice(0, 20) },
        "Retrigger is ready",
      );
    },
    stop: releasers.releaseAll,
    address: () => address,
  };
}

/**
 * A paused worker finishes its current jobs and fetches no others. Without the pause, a worker would poll a Redis that
 * refuses writes in a tight loop, and start jobs that cannot be completed.
 */
function setPaused(workers: Worker[], isPaused: boolean): void {
  for (const worker of workers) {
    // `true`: does not wait for the current jobs.
    void (isPaused ? worker.pause(true) : worker.resume());
  }
}

/** Checks in the background whether the trainer would accept a request. Problems are only logged. */
async function warnOfTrainer(trainer: Trainer, log: Logger): Promise<void> {
  try {
    for (const { level, text, remedy } of await trainer.preflight())
      if (level !== "ok") log.warn({ remedy }, text);
  } catch (error) {
    log.warn({ err: error }, "the trainer could not be checked");
  }
}

function same<T>(value: T): T {
  return value;
}
