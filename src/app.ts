import { FlowProducer, type QueueOptions } from "bullmq";
import { type Chain, createChain } from "../queues/chain.ts";
import { INBOX, NOTIFICATIONS, QUEUES, TRAINING } from "../queues/names.ts";
import { createNotify } from "../queues/notifications.ts";
import { followTraining } from "../queues/training.ts";
import { createAct } from "../workers/act.ts";
import { type Processors, startWorkers, WORKERS_STOP_LIMIT_MS } from "../workers/bullmq/workers.ts";
import { createDispatcher } from "../workers/dispatch.ts";
import { evaluateStage } from "../workers/evaluate.ts";
import { reevaluate } from "../workers/follow-up.ts";
import { createGather } from "../workers/gather.ts";
import { createIntake } from "../workers/intake.ts";
import { createDelivery, targetsOf } from "../workers/notify.ts";
import { startReconciler } from "../workers/reconcile.ts";
import { createSlots } from "./process/slots.ts";
import { createSummarize } from "../workers/summarize.ts";
import { createTraining } from "../workers/training.ts";
import type { Config } from "./config/config.ts";
import { findModel } from "./config/find-model.ts";
import { createLiveConfig } from "./config/live-config.ts";
import { createDatabase, type Database } from "./postgres/database.ts";
import { createReleasers, retryUntilReady } from "./process/lifecycle.ts";
import type { Logger } from "./process/logger.ts";
import { createGrowingRedactor, type GrowingRedactor } from "./process/redact.ts";
import { createServerState } from "./process/server-state.ts";
import { requireRedis } from "./redis/check.ts";
import { connectRedis } from "./redis/connection.ts";
import { createDecisionLock, type DecisionLock } from "./redis/decision-lock.ts";
import { createModelClaims } from "./redis/model-claims.ts";
import { openQueue } from "./redis/open-queue.ts";
import { answerReloads, type ReloadReply } from "./redis/reload-channel.ts";
import type { RedisConnection } from "./redis/target.ts";
import { createRedisWatch, type RedisWatch } from "./redis/watch.ts";
import { createLiveTrainers } from "./trainers/live-trainers.ts";
import { logTrainerProblems } from "./trainers/preflight.ts";
import type { Trainers } from "./trainers/trainers.ts";
import { relayOutbox } from "./use-cases/send-event.ts";
import { createReload, type ReloadedWork } from "./use-cases/reload.ts";

/** How many programs of the command trainer run in this process at once. The others wait. */
const MAX_LOCAL_RUNS = 8;
/** A queue closes at once, unless Redis is away. */
const QUEUE_CLOSE_LIMIT_MS = 500;

/** The running service. */
export interface App {
  /** Waits for both servers, migrates, then starts the parts of the role. `signal` aborts the wait. */
  start(signal?: AbortSignal): Promise<void>;
  /** Stops in reverse order: HTTP, workers (drained), queues, Redis, Postgres. */
  stop(): Promise<void>;
  /** Reads the settings of the models again, and puts them in force without dropping work. Never rejects. */
  reload(): Promise<ReloadReply>;
  /** The address of the pages; null before `start` and if the role has none. */
  address(): string | null;
}

/** The dependencies of the workers. */
export interface Parts {
  database: Database;
  lock: DecisionLock;
  chain: Chain;
  trainers: Trainers;
}

export interface AppOptions {
  /** false for a process that decides once and ends: it leaves schedules and lost runs to the service. */
  isService?: boolean;
  /** A short-lived process leaves trainings to other processes, or follows only those that run elsewhere. */
  trainings?: "run" | "followed" | "none";
  /** Reads the settings again for `reload`; null if no file can change them. */
  readConfig?: (() => Config) | null;
  /** The redactor of `log`, if it has one: it must know the secrets of new settings too. */
  redactor?: GrowingRedactor;
  /** For tests: replaces parts, for example with a lock that locks nothing or with steps that kill the process. */
  replaceParts?: (parts: Parts) => Parts;
  replaceProcessors?: (processors: Processors) => Processors;
}

/** Composes the service from its parts. */
export function buildApp(config: Config, log: Logger, options: AppOptions = {}): App {
  const { isService = true, trainings = "run", readConfig = null } = options;
  const { redactor = createGrowingRedactor(config.secrets) } = options;
  const { replaceParts = same, replaceProcessors = same } = options;
  const { timing, timeZone, lockTtlMs, redisPrefix: prefix } = config;
  const releasers = createReleasers(log);
  const redisState = createServerState("Redis", log);
  const { redact } = redactor;
  const live = createLiveConfig(config);
  let work: ReloadedWork | null = null;
  const { role } = config;
  const reload = createReload({ role, live, redactor, readConfig, findWork: () => work, log });
  const stopping = new AbortController();
  let address: string | null = null;
  let redisWatch: RedisWatch | undefined;

  function openRedis(failFast: boolean): { connection: RedisConnection; prefix: string } {
    const onRefusal = () => redisWatch?.checkNow();
    const connection = connectRedis(config, redisState, { failFast, onRefusal });
    releasers.add("Redis", () => connection.disconnect());
    return { connection, prefix };
  }

  /** Opens the fail-fast connection, which the watch shares with the web pages. */
  async function startWatch(): Promise<{ options: ReturnType<typeof openRedis>; watch: RedisWatch }> {
    const options = openRedis(true);
    const { connection: redis } = options;
    if (redis.status !== "ready") await new Promise((resolve) => redis.once("ready", resolve));
    const watch = createRedisWatch({ redis, state: redisState, settings: config });
    releasers.add("Redis watch", watch.stop);
    redisWatch = watch;
    return { options, watch };
  }

  function openQueues(options: QueueOptions) {
    const open = (name: (typeof QUEUES)[number]) => openQueue(name, options, log);
    const queues = {
      inbox: open(INBOX),
      act: open("act"),
      summarize: open("summarize"),
      training: open(TRAINING),
      notifications: open(NOTIFICATIONS),
      flow: new FlowProducer(options),
    };
    queues.flow.on("error", (error) => log.debug({ err: error }, "flow producer error"));
    for (const queue of Object.values(queues))
      releasers.add("queue", () => queue.close(), QUEUE_CLOSE_LIMIT_MS);
    return queues;
  }

  async function startWork(database: Database, watch: RedisWatch): Promise<void> {
    const { connection } = openRedis(false);
    const queues = openQueues({ connection, prefix });
    const liveTrainers = await createLiveTrainers(config, redact);
    const parts = replaceParts({
      database,
      lock: createDecisionLock(connection, prefix, lockTtlMs),
      chain: createChain(queues),
      trainers: liveTrainers,
    });
    const { chain, trainers } = parts;
    const shared = {
      ...parts,
      connection,
      redis: connection,
      redisState,
      prefix,
      log,
      lockTtlMs,
      timing,
      timeZone,
      publicUrl: config.publicUrl,
      notify: createNotify(queues.notifications, targetsOf(config.notifications)),
      // A local program starts at once; elsewhere a training takes a while to begin.
      followTraining: (job: { runId: string; model: string }) =>
        followTraining(queues.training, job, trainers.of(job.model).remote?.run ? 0 : timing.pollMs),
      findModel: (model: string) => findModel(live.models(), model),
      findForRun: live.findForRun,
      hasModel: (model: string) => live.models().has(model),
      // A model that was removed from the settings may still have a run to report.
      settingNamesOf: (model: string) => live.models().get(model)?.settingNames ?? {},
      spreadMsOf: (model: string) => live.models().get(model)?.spreadMs ?? 0,
      listModels: live.models,
      reevaluate: (model: string) => reevaluate(parts, model),
      claims: createModelClaims(connection, prefix, () => [...live.models().keys()]),
    };
    const dispatcher = createDispatcher(shared);
    if (isService) releasers.add("model claims", shared.claims.release, QUEUE_CLOSE_LIMIT_MS);
    const reconciler = isService
      ? await startReconciler({ ...shared, inbox: queues.inbox, training: queues.training })
      : null;
    if (reconciler) {
      releasers.add("reconciler", reconciler.stop, QUEUE_CLOSE_LIMIT_MS);
      work = { prepare: liveTrainers.prepare, follow: reconciler.follow };
    }
    const workers = startWorkers({
      ...shared,
      followsTrainings: trainings !== "none",
      // One worker follows all trainings, so a single model that trains here decides; a reload may add one.
      trainingLockMs:
        readConfig !== null || trainers.all().some(({ remote }) => remote?.run)
          ? timing.runLockMs
          : timing.followLockMs,
      stopping: stopping.signal,
      listModelsElsewhere: shared.claims.listElsewhere,
      onInboxFailure: () => reconciler?.runSoon(),
      processors: replaceProcessors({
        intake: createIntake(shared),
        gather: createGather(shared),
        evaluate: evaluateStage,
        act: createAct({ ...shared, dispatcher }),
        summarize: createSummarize(shared),
        training: createTraining({
          ...shared,
          dispatcher,
          isActOpen: chain.isActOpen,
          runSlots: createSlots(trainings === "run" ? MAX_LOCAL_RUNS : 0),
        }),
        deliver: createDelivery({ ...config.notifications, publicUrl: config.publicUrl }, redact),
      }),
    });
    releasers.add("workers", workers.drain, WORKERS_STOP_LIMIT_MS);
    // Released before the workers drain, because a local training could take hours to end.
    releasers.add("trainings", () => stopping.abort());
    await workers.untilReady();
    watch.onChange((isRefusing) => {
      if (stopping.signal.aborted) return;
      workers.setPaused(isRefusing);
      // A failover loses what the old master had not replicated yet.
      if (!isRefusing) reconciler?.runSoon();
    });
    watch.onFailover(() => reconciler?.runSoon());
    void logTrainerProblems(trainers, log);
  }

  async function startWeb(database: Database, options: QueueOptions, redisWatch: RedisWatch): Promise<void> {
    const queues = QUEUES.map((name) => openQueue(name, options, log));
    for (const queue of queues) releasers.add("queue", () => queue.close(), QUEUE_CLOSE_LIMIT_MS);
    // Loaded on demand: a worker without pages does not need Express and Bull Board in memory.
    const { startServer } = await import("./http/server.ts");
    const inbox = queues.find(({ name }) => name === INBOX);
    // A process before this one may have died between the two.
    if (inbox) await relayOutbox({ database, client: { inbox } });
    const { secrets } = config;
    const server = await startServer({ config, secrets, live, database, redisWatch, queues, redact, log });
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
      if (config.role !== "web") await startWork(database, watch);
      if (config.role !== "worker") await startWeb(database, options, watch);
      if (isService)
        await answerReloads(
          { redis: openRedis(false).connection, replies: options.connection, prefix },
          reload,
        );
      const names = [...live.models().keys()].slice(0, 20);
      log.info({ role: config.role, address, models: names }, "Retrigger is ready");
    },
    stop: releasers.releaseAll,
    reload,
    address: () => address,
  };
}

function same<T>(value: T): T {
  return value;
}
