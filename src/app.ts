import { FlowProducer, type QueueOptions } from "bullmq";
import { INBOX, QUEUES } from "../queues/names.ts";
import { syncSchedules } from "../queues/schedule.ts";
import { createAct } from "../workers/act.ts";
import { createChain } from "../workers/chain.ts";
import { evaluateStage } from "../workers/evaluate.ts";
import { createGather } from "../workers/gather.ts";
import { createIntake } from "../workers/intake.ts";
import { registerWorkers } from "../workers/register.ts";
import { createSummarize } from "../workers/summarize.ts";
import type { Config } from "./config.ts";
import { findModel } from "./find-model.ts";
import { createReleasers, isSettledWithin, retryUntilReady } from "./lifecycle.ts";
import type { Logger } from "./logger.ts";
import { createDatabase, type Database } from "./postgres/database.ts";
import { connectRedis, probeRedis } from "./redis/connection.ts";
import { createDecisionLock } from "./redis/decision-lock.ts";
import { openQueue } from "./redis/open-queue.ts";
import { createMockTrainer } from "./trainers/mock.ts";

/** Workers get this long to end what they are doing; then their jobs are left to the next worker. */
const DRAIN_LIMIT_MS = 20_000;
/** A queue closes at once, unless Redis is away. */
const QUEUE_CLOSE_LIMIT_MS = 500;

/** The running service. */
export interface App {
  /** Waits for both servers, migrates, then starts what the role asks for. `signal` ends the waiting. */
  start(signal?: AbortSignal): Promise<void>;
  /** Stops in reverse order: HTTP, workers (drained), queues, Redis, Postgres. */
  stop(): Promise<void>;
  /** Where the pages are; null where the role has none, or before `start`. */
  address(): string | null;
}

/** @param keepsSchedules false for a process that decides once and ends: the schedules are the service's. */
export function buildApp(config: Config, log: Logger, { keepsSchedules = true } = {}): App {
  const releasers = createReleasers(log);
  let address: string | null = null;

  function openRedis(failFast: boolean): QueueOptions & { connection: ReturnType<typeof connectRedis> } {
    const connection = connectRedis(config.redisUrl, log, { failFast });
    releasers.add("Redis", () => connection.disconnect());
    return { connection, prefix: config.redisPrefix };
  }

  async function startWorkers(database: Database): Promise<void> {
    const options = openRedis(false);
    const inbox = openQueue(INBOX, options, log);
    const summarize = openQueue("summarize", options, log);
    const flow = new FlowProducer(options);
    flow.on("error", (error) => log.debug({ err: error }, "flow producer error"));
    for (const part of [inbox, summarize, flow])
      releasers.add("queue", () => part.close(), QUEUE_CLOSE_LIMIT_MS);

    const lock = createDecisionLock(options.connection, config.redisPrefix, config.lockTtlMs);
    const chain = createChain({ inbox, summarize, flow });
    const { timeZone, lockTtlMs, redisPrefix: prefix } = config;
    const find = (model: string) => findModel(config.models, model);
    const workers = registerWorkers({
      connection: options.connection,
      prefix,
      lock,
      lockTtlMs,
      chain,
      log,
      processors: {
        intake: createIntake({ lock, chain, recordEvent: database.recordEvent, findModel: find }),
        gather: createGather({ findModel: find, fetchEvidence: database.fetchEvidence, timeZone }),
        evaluate: evaluateStage,
        act: createAct({ lock, chain, trainer: createMockTrainer(config.github), database, timeZone }),
        summarize: createSummarize({ timeZone }),
      },
    });
    releasers.add(
      "workers",
      async () => {
        const drained = Promise.all(workers.map((worker) => worker.close()));
        // Without Redis no job can be ended, so there is nothing to wait for.
        const isConnected = options.connection.status === "ready";
        if (await isSettledWithin(drained, isConnected ? DRAIN_LIMIT_MS : QUEUE_CLOSE_LIMIT_MS)) return;
        log.warn("workers did not drain; their jobs go on elsewhere");
        await isSettledWithin(Promise.all(workers.map((worker) => worker.close(true))), QUEUE_CLOSE_LIMIT_MS);
      },
      DRAIN_LIMIT_MS + 2 * QUEUE_CLOSE_LIMIT_MS,
    );
    await Promise.all(workers.map((worker) => worker.waitUntilReady()));
    if (!keepsSchedules) return;
    await syncSchedules(inbox, new Map([...config.models].map(([name, { schedule }]) => [name, schedule])));
  }

  async function startWeb(database: Database): Promise<void> {
    const options = openRedis(true);
    const { connection: redis } = options;
    await new Promise((resolve) => redis.once("ready", resolve));
    const queues = QUEUES.map((name) => openQueue(name, options, log));
    for (const queue of queues) releasers.add("queue", () => queue.close(), QUEUE_CLOSE_LIMIT_MS);
    // Loaded here, because a worker without pages has no use for Express and Bull Board in its memory.
    const { startServer } = await import("./http/server.ts");
    const server = await startServer({ config, database, redis, queues, log });
    releasers.add("HTTP", server.close);
    ({ address } = server);
  }

  return {
    async start(signal) {
      const database = createDatabase(config, log);
      releasers.add("Postgres", database.close);
      await retryUntilReady("Redis", () => probeRedis(config.redisUrl, (redis) => redis.ping()), {
        log,
        signal,
      });
      const migrations = await retryUntilReady("Postgres", database.migrate, { log, signal });
      if (migrations.length > 0) log.info({ migrations }, "migrated");
      if (config.role !== "web") await startWorkers(database);
      if (config.role !== "worker") await startWeb(database);
      log.info(
        { role: config.role, address, models: [...config.models.keys()].slice(0, 20) },
        "Retrigger is ready",
      );
    },
    stop: releasers.releaseAll,
    address: () => address,
  };
}
