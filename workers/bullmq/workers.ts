import { type Job, type Telemetry, Worker } from "bullmq";
import { Acted, Evaluated, Gathered, type StageJob } from "../../queues/jobs.ts";
import { INBOX, NOTIFICATIONS, type QueueName, STAGES, TRAINING } from "../../queues/names.ts";
import { computeBackoffMs, computeRetention } from "../../queues/options.ts";
import type { DecisionSummary } from "../../src/core/report/decision-summary.ts";
import { isSettledWithin } from "../../src/process/lifecycle.ts";
import type { WorkMetrics } from "../../src/process/metrics.ts";
import type { RedisConnection } from "../../src/redis/target.ts";
import type { ManualRetry, StageOutput, StagePause } from "../stage.ts";
import { createDeliveryProcessor, type DeliveryOptions } from "./delivery.ts";
import { endFailedJob, type FailureOptions, withFailureNotice } from "./failures.ts";
import { type ForeignModelOptions, returnForeignModels } from "./foreign-models.ts";
import { type CompactionOptions, createCompaction } from "./compaction.ts";
import { createHandOver } from "./hand-over.ts";
import { createInboxProcessor, type InboxOptions } from "./inbox.ts";
import { createIsolation, MAX_STALLS } from "./isolation.ts";
import type { Processor } from "./job-control.ts";
import { modelOf } from "./job-identity.ts";
import { forgetReopening, toManualRetry } from "./manual-retry.ts";
import { createLoggedReasons } from "./logged-reasons.ts";
import { createRunLog } from "./run-log.ts";
import { type Awaitable, createFirstStageProcessor, createStageProcessor } from "./stage.ts";
import { createTrainingProcessor, type TrainingOptions } from "./training.ts";

/** What the workers do, independent of BullMQ. */
export interface Processors
  extends Pick<InboxOptions, "intake">, Pick<TrainingOptions, "training">, Pick<DeliveryOptions, "deliver"> {
  gather(job: StageJob): Awaitable<StageOutput<Gathered> | StagePause>;
  evaluate(gathered: Gathered): Awaitable<StageOutput<Evaluated>>;
  act(job: StageJob, evaluated: Evaluated, retry: ManualRetry): Awaitable<StageOutput<Acted> | StagePause>;
  summarize(job: StageJob, acted: Acted): Awaitable<StageOutput<DecisionSummary>>;
}

export interface WorkerOptions
  extends FailureOptions, ForeignModelOptions, CompactionOptions, Pick<InboxOptions, "spreadMsOf"> {
  connection: RedisConnection;
  /** How many runs Bull Board keeps. */
  historyRuns: number;
  /** Passed to BullMQ, which traces jobs with it. */
  telemetry?: Telemetry | undefined;
  processors: Processors;
  metrics: Pick<WorkMetrics, "countStage">;
  lockTtlMs: number;
  /** How long a local training survives without Redis, and how long it takes to notice that its worker died. */
  trainingLockMs: number;
  /** false for a process that must not start work that takes hours. */
  followsTrainings: boolean;
  /** Aborted when the process shuts down: a training that runs in it ends too. */
  stopping: AbortSignal;
}

/** The workers of this process. */
export interface Workers {
  /** Waits until all workers take jobs. */
  untilReady(): Promise<void>;
  /**
   * A paused worker finishes its current jobs and fetches no more. Otherwise it would poll a Redis that refuses writes in a
   * tight loop, and start jobs that cannot complete.
   */
  setPaused(isPaused: boolean): void;
  /** Lets the current jobs finish, for a limited time. After that, other workers take them over. */
  drain(): Promise<void>;
}

/** The current jobs get this long to finish when the process stops. */
const DRAIN_LIMIT_MS = 20_000;
/** Closing takes no time, unless Redis is away. */
const CLOSE_LIMIT_MS = 500;

/** The most that `drain` takes. */
export const WORKERS_STOP_LIMIT_MS = DRAIN_LIMIT_MS + 2 * CLOSE_LIMIT_MS;

/**
 * Starts a BullMQ worker for each processor, and adds what they share: parsing of input, mapping of errors (permanent ones
 * fail at once, the rest are retried), logging and the decision lock.
 */
export function startWorkers(options: WorkerOptions): Workers {
  const workers = openWorkers(options);
  return {
    untilReady: async () => void (await Promise.all(workers.map((worker) => worker.waitUntilReady()))),
    setPaused(isPaused) {
      for (const worker of workers) {
        // `true`: does not wait for the current jobs.
        void (isPaused ? worker.pause(true) : worker.resume());
      }
    },
    async drain() {
      const drained = Promise.all(workers.map((worker) => worker.close()));
      // Without Redis no job can complete, so do not wait.
      const isConnected = options.connection.status === "ready";
      if (await isSettledWithin(drained, isConnected ? DRAIN_LIMIT_MS : CLOSE_LIMIT_MS)) return;
      options.log.warn("workers did not drain in time; other workers will take over their jobs");
      await isSettledWithin(Promise.all(workers.map((worker) => worker.close(true))), CLOSE_LIMIT_MS);
    },
  };
}

function openWorkers(given: WorkerOptions): Worker[] {
  const reasons = createLoggedReasons();
  const options = { ...given, reasons, runLog: createRunLog(given.log, reasons) };
  const { processors } = options;
  const isolate = createIsolation();
  const compaction = createCompaction(options);
  const stageOptions = { ...options, handOver: createHandOver(), compaction };
  const actedByJob = new WeakMap<Job, Acted>();
  const createWorker = (name: QueueName, processor: Processor<unknown>, lockMs = JOB_LOCK_MS): Worker =>
    openWorker(
      options,
      name,
      isolate(withFailureNotice(options, name, timed(options, name, processor))),
      lockMs,
    );
  const logFailedCompaction = (error: unknown): void =>
    options.log.debug({ err: error }, "jobs of a completed run not compacted");
  /** For stages that need the settings of their job's model. */
  const ofOwnModels = <T>(processor: Processor<T>): Processor<T> => returnForeignModels(options, processor);
  return [
    createWorker(INBOX, ofOwnModels(createInboxProcessor({ ...options, ...processors }))),
    createWorker(
      "gather",
      ofOwnModels(createFirstStageProcessor(stageOptions, "gather", (data) => processors.gather(data))),
    ),
    createWorker(
      "evaluate",
      createStageProcessor(stageOptions, "evaluate", Gathered, (_, gathered) =>
        processors.evaluate(gathered),
      ),
    ),
    createWorker(
      "act",
      ofOwnModels(
        createStageProcessor(stageOptions, "act", Evaluated, (data, evaluated, job) =>
          processors.act(data, evaluated, toManualRetry(job)),
        ),
      ),
    ),
    createWorker(
      "summarize",
      createStageProcessor(stageOptions, "summarize", Acted, (data, acted, job) => {
        actedByJob.set(job, acted);
        return processors.summarize(data, acted);
      }),
    ).on("completed", (job: Job, result: unknown) => {
      const acted = actedByJob.get(job);
      if (acted) compaction.compact(String(job.id), acted).catch(logFailedCompaction);
      const { decisionId } = (result ?? {}) as Partial<DecisionSummary>;
      // An old run whose stage is retried decides nothing now.
      const isNew = typeof decisionId === "number" && job.attemptsStarted === 1;
      if (isNew) void options.failedModels.decided(modelOf(job), decisionId);
    }),
    createWorker(NOTIFICATIONS, ofOwnModels(createDeliveryProcessor({ ...options, ...processors }))),
    ...(options.followsTrainings
      ? [
          createWorker(
            TRAINING,
            ofOwnModels(createTrainingProcessor({ ...options, ...processors })),
            options.trainingLockMs,
          ),
        ]
      : []),
  ];
}

/** Reports how long the jobs of the inbox and of the chain take that complete. */
function timed<T>(
  { metrics }: Pick<WorkerOptions, "metrics">,
  queue: QueueName,
  processor: Processor<T>,
): Processor<T> {
  const stage = queue === INBOX ? "intake" : STAGES.find((name) => name === queue);
  if (stage === undefined) return processor;
  return async (job, token, signal) => {
    const startedAt = performance.now();
    const result = await processor(job, token, signal);
    metrics.countStage(stage, (performance.now() - startedAt) / 1000);
    return result;
  };
}

function openWorker(
  options: WorkerOptions,
  name: QueueName,
  processor: Processor<unknown>,
  lockMs: number,
): Worker {
  const { connection, prefix, telemetry, log } = options;
  const worker = new Worker(name, processor, {
    connection,
    prefix,
    ...(telemetry && { telemetry }),
    concurrency: name === TRAINING ? TRAININGS_AT_ONCE : JOBS_AT_ONCE,
    lockDuration: lockMs,
    stalledInterval: lockMs / 2,
    maxStalledCount: MAX_STALLS,
    runRetryDelay: 1_000,
    ...computeRetention(name, options.historyRuns),
    settings: {
      backoffStrategy: (attemptsMade, _type, _error, job) => {
        const { backoff } = job?.opts ?? {};
        return computeBackoffMs(attemptsMade, typeof backoff === "object" ? backoff.delay : undefined);
      },
    },
  });
  // Another worker takes over such a job, so stop working on it here.
  worker.on("lockRenewalFailed", (jobIds) => jobIds.forEach((jobId) => worker.cancelJob(jobId)));
  // Without a listener, a connection error would end the process; the connection's own listener reports it once.
  worker.on("error", (error) => log.debug({ err: error, queue: name }, "worker error"));
  if (name === "act") worker.on("completed", (job) => void forgetReopening(job, log));
  // Not in the processor: a job that stalled too often never reaches it again.
  worker.on("failed", (job, error) => void endFailedJob(options, name, job, error));
  return worker;
}

/** How many jobs of one queue this process runs at once. */
const JOBS_AT_ONCE = 8;

/** Twice as many: local programs may occupy half of them for hours, and the rest follow other trainings. */
const TRAININGS_AT_ONCE = 16;

/** A killed worker keeps its jobs for this long. Short, because a chain must continue within seconds. */
const JOB_LOCK_MS = 5_000;
