import { hostname } from "node:os";
import { FlowProducer, type QueueOptions, type Telemetry } from "bullmq";
import { Registry } from "prom-client";
import { type Chain, createChain } from "../queues/chain.ts";
import { INBOX, NOTIFICATIONS, QUEUES, TRAINING } from "../queues/names.ts";
import { createNotify, createNotifyEnd } from "../queues/notifications.ts";
import { followTraining } from "../queues/training.ts";
import { createAct } from "../workers/act.ts";
import { type Processors, startWorkers, WORKERS_STOP_LIMIT_MS } from "../workers/bullmq/workers.ts";
import { createDispatcher } from "../workers/dispatch.ts";
import { evaluateStage } from "../workers/evaluate.ts";
import { createFailedModels } from "../workers/failed-models.ts";
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
import { ServerAwayError } from "./core/errors.ts";
import type { ServerOptions } from "./http/server.ts";
import { createDatabase, type Database } from "./postgres/database.ts";
import { createReleasers, retryUntilReady } from "./process/lifecycle.ts";
import type { Logger } from "./process/logger.ts";
import { createWorkMetrics } from "./process/metrics.ts";
import { createGrowingRedactor, type GrowingRedactor } from "./process/redact.ts";
import { createServerState } from "./process/server-state.ts";
import { requireRedis } from "./redis/check.ts";
import { connectRedis } from "./redis/connection.ts";
import { createDecisionLock, type DecisionLock } from "./redis/decision-lock.ts";
import { createModelClaims } from "./redis/model-claims.ts";
import { openQueue } from "./redis/open-queue.ts";
import { answerRequests, type ReloadReply } from "./redis/service-channel.ts";
import { createRedisWatch, type RedisWatch } from "./redis/watch.ts";
import { createLiveTrainers } from "./trainers/live-trainers.ts";
import { logTrainerProblems } from "./trainers/preflight.ts";
import type { Trainers } from "./trainers/trainers.ts";
import { createOwnDescription } from "./use-cases/describe-service.ts";
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
  /** The address of the pages, or of a worker's metrics; null before `start` and if the process serves neither. */
  address(): string | null;
}

/** The dependencies of the workers. */
export interface Parts {
  database: Database;
  lock: DecisionLock;
  chain: Chain;
  trainers: Trainers;
}

/** What queues and workers have in common. */
interface JobOptions extends Pick<QueueOptions, "telemetry"> {
  connection: ReturnType<typeof connectRedis>;
  prefix: string;
}

/** What each HTTP server needs, whatever it serves. */
type Servers = Pick<ServerOptions, "database" | "redis" | "redisWatch">;

export interface AppOptions {
  /** false for a process that decides once and ends: it leaves schedules and lost runs to the service. */
  isService?: boolean;
  /** A short-lived process leaves trainings to other processes, or follows only those that run elsewhere. */
  trainings?: "run" | "followed" | "none";
  /** Reads the settings again for `reload`; null if no file can change them. */
  readConfig?: (() => Config) | null;
  /** The redactor of `log`, if it has one: it must know the secrets of new settings too. */
  redactor?: GrowingRedactor;
  /** Traces the jobs; null for no traces. */
  telemetry?: Telemetry | null;
  /** For tests: replaces parts, for example with a lock that locks nothing or with steps that kill the process. */
  replaceParts?: (parts: Parts) => Parts;
  replaceProcessors?: (processors: Processors) => Processors;
}

/** Composes the service from its parts. */
export function buildApp(config: Config, log: Logger, options: AppOptions = {}): App {
  const { isService = true, trainings = "run", readConfig = null } = options;
  const { redactor = createGrowingRedactor(config.secrets), telemetry = null } = options;
  const { replaceParts = same, replaceProcessors = same } = options;
  const { timing, timeZone, lockTtlMs, redisPrefix: prefix } = config;
  const releasers = createReleasers(log);
  const redisState = createServerState("Redis", log);
  const { redact } = redactor;
  const live = createLiveConfig(config);
  let work: ReloadedWork | null = null;
  const service = `${config.role} on ${hostname()}, process ${process.pid}`;
  let ownDatabase: Database | null = null;
  const own = createOwnDescription(service, config, () => ownDatabase);
  const reload = createReload({
    service,
    live,
    redactor,
    readConfig,
    findWork: () => work,
    onReplaced: own.replace,
    log,
  });
  const stopping = new AbortController();
  const registry = new Registry();
  let address: string | null = null;
  let redisWatch: RedisWatch | undefined;

  /** Opens a connection. Returns it as the options of queues and workers. */
  function openRedis(failFast: boolean): JobOptions {
    const onRefusal = () => redisWatch?.checkNow();
    const connection = connectRedis(config, redisState, { failFast, onRefusal });
    releasers.add("Redis", () => connection.disconnect());
    return { connection, prefix, ...(telemetry && { telemetry }) };
  }

  /** Opens the fail-fast connection, which the watch shares with the web pages. */
  async function startWatch(): Promise<{ options: JobOptions; watch: RedisWatch }> {
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
      gather: open("gather"),
      evaluate: open("evaluate"),
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
    const queueOptions = openRedis(false);
    const { connection } = queueOptions;
    const queues = openQueues(queueOptions);
    const liveTrainers = await createLiveTrainers(config, redact);
    const parts = replaceParts({
      database,
      lock: createDecisionLock(connection, prefix, lockTtlMs),
      chain: createChain(queues),
      trainers: liveTrainers,
    });
    const { chain, trainers } = parts;
    const targets = targetsOf(config.notifications);
    const notifyEnd = createNotifyEnd(queues.notifications, targets);
    const shared = {
      ...parts,
      ...queueOptions,
      redis: connection,
      redisState,
      log,
      lockTtlMs,
      historyRuns: config.historyRuns,
      timing,
      timeZone,
      publicUrl: config.publicUrl,
      metrics: createWorkMetrics(registry, live.models),
      notify: createNotify(queues.notifications, targets),
      notifyEnd,
      failedModels: createFailedModels({
        redis: connection,
        prefix,
        database,
        notifyEnd,
        hasTargets: targets.length > 0,
        log,
      }),
      // A local program starts at once; elsewhere a training takes a while to begin.
      followTraining: (job: Parameters<typeof followTraining>[1]) =>
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
      readBasis: database.readBasis,
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

  async function startWeb(options: Servers, queueOptions: QueueOptions): Promise<void> {
    const queues = QUEUES.map((name) => openQueue(name, queueOptions, log));
    for (const queue of queues) releasers.add("queue", () => queue.close(), QUEUE_CLOSE_LIMIT_MS);
    const inbox = queues.find(({ name }) => name === INBOX);
    // A process before this one may have died between the two.
    if (inbox) await relayOutbox({ database: options.database, client: { inbox } });
    const { ROUTES } = await import("./http/routes.ts");
    await serve({ ...options, queues, routes: ROUTES, port: config.port, portSetting: "PORT" });
  }

  async function startWorkerServer(options: Servers, port: number): Promise<void> {
    const { WORKER_ROUTES } = await import("./http/worker-routes.ts");
    await serve({ ...options, queues: [], routes: WORKER_ROUTES, port, portSetting: "METRICS_PORT" });
  }

  async function serve(
    options: Servers & Pick<ServerOptions, "queues" | "routes" | "port" | "portSetting">,
  ): Promise<void> {
    // Loaded on demand: a worker that serves nothing does not need Express in memory.
    const { startServer } = await import("./http/server.ts");
    const { secrets } = config;
    const server = await startServer({ ...options, config, secrets, live, registry, redact, log });
    releasers.add("HTTP", server.close);
    ({ address } = server);
  }

  return {
    async start(signal) {
      const database = (ownDatabase = createDatabase(config, log));
      releasers.add("Postgres", database.close);
      await retryUntilReady("Redis", () => requireRedis(config), { log, signal });
      const waiting = { log, signal, isLogged: (error: unknown) => error instanceof ServerAwayError };
      const migrations = await retryUntilReady("Postgres", () => database.migrate(), waiting);
      if (migrations.length > 0) log.info({ migrations }, "migrated");
      const { options, watch } = await startWatch();
      if (config.role !== "web") await startWork(database, watch);
      const servers = { database, redis: options.connection, redisWatch: watch };
      if (config.role !== "worker") await startWeb(servers, options);
      else if (isService && config.metricsPort !== undefined)
        await startWorkerServer(servers, config.metricsPort);
      if (isService)
        await answerRequests(
          { redis: openRedis(false).connection, replies: options.connection, prefix },
          { reload, describe: own.describe },
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
