import { UnrecoverableError, Worker } from "bullmq";
import type { Redis } from "ioredis";
import {
  Acted,
  type DecisionSummary,
  Evaluated,
  Gathered,
  type IntakeResult,
  type StageJob,
} from "../queues/jobs.ts";
import { INBOX, NOTIFICATIONS, type QueueName, TRAINING } from "../queues/names.ts";
import { computeBackoffMs, FOLLOW_UP_DELAY_MS, INBOX_JOB_OPTIONS } from "../queues/options.ts";
import { endFailedJob, type FailureOptions, tellingOfFailure } from "./failures.ts";
import { type ForeignModelOptions, leavingForeignModels } from "./foreign-models.ts";
import type { InboxJob } from "./intake.ts";
import { delay, isPermanent, type Processor, since, toBullError, tryAgain } from "./job-control.ts";
import { inboxKey, inboxRunId, modelOf } from "./job-identity.ts";
import { createDeliveryProcessor, createTrainingProcessor, type SideProcessors } from "./register-side.ts";
import type { StageOutput, StagePause } from "./stage.ts";
import { type Awaitable, createFirstStageProcessor, createStageProcessor } from "./stage-processor.ts";

export interface Processors extends SideProcessors {
  intake(job: InboxJob): Promise<IntakeResult | "busy">;
  gather(job: StageJob): Awaitable<StageOutput<Gathered> | StagePause>;
  evaluate(gathered: Gathered): Awaitable<StageOutput<Evaluated>>;
  act(job: StageJob, evaluated: Evaluated): Awaitable<StageOutput<Acted> | StagePause>;
  summarize(job: StageJob, acted: Acted): Awaitable<StageOutput<DecisionSummary>>;
}

export interface RegisterOptions extends FailureOptions, ForeignModelOptions {
  connection: Redis;
  processors: Processors;
  lockTtlMs: number;
  /** For so long a training that runs here goes on while Redis is away; as long it takes to notice that its worker died. */
  trainingLockMs: number;
  /** false for a process that must not start what takes hours. */
  followsTrainings: boolean;
  /** Aborted when the process is to end: a training that runs in it is told to end too. */
  stopping: AbortSignal;
}

/**
 * Makes a BullMQ worker of each processor. What all of them share is done here and nowhere else: parsing what comes
 * in, mapping errors (permanent ones fail at once, the rest is tried again), logging, and the decision lock.
 */
export function registerWorkers(options: RegisterOptions): Worker[] {
  const { processors } = options;
  const isolate = createIsolation();
  const createWorker = (name: QueueName, processor: Processor<unknown>, lockMs = JOB_LOCK_MS): Worker =>
    openWorker(options, name, isolate(tellingOfFailure(options, name, processor)), lockMs);
  /** For stages that need the settings of their job's model. */
  const ofOwnModels = <T>(processor: Processor<T>): Processor<T> => leavingForeignModels(options, processor);
  return [
    createWorker(INBOX, ofOwnModels(createInboxProcessor(options))),
    createWorker(
      "gather",
      ofOwnModels(createFirstStageProcessor(options, "gather", (data) => processors.gather(data))),
    ),
    createWorker(
      "evaluate",
      createStageProcessor(options, "evaluate", Gathered, (_, gathered) => processors.evaluate(gathered)),
    ),
    createWorker(
      "act",
      ofOwnModels(
        createStageProcessor(options, "act", Evaluated, (data, evaluated) => processors.act(data, evaluated)),
      ),
    ),
    createWorker(
      "summarize",
      createStageProcessor(options, "summarize", Acted, (data, acted) => processors.summarize(data, acted)),
    ),
    createWorker(NOTIFICATIONS, createDeliveryProcessor(options)),
    ...(options.followsTrainings
      ? [createWorker(TRAINING, ofOwnModels(createTrainingProcessor(options)), options.trainingLockMs)]
      : []),
  ];
}

function openWorker(
  options: RegisterOptions,
  name: QueueName,
  processor: Processor<unknown>,
  lockMs: number,
): Worker {
  const { connection, prefix, log } = options;
  const worker = new Worker(name, processor, {
    connection,
    prefix,
    concurrency: name === TRAINING ? TRAININGS_AT_ONCE : JOBS_AT_ONCE,
    lockDuration: lockMs,
    stalledInterval: lockMs / 2,
    maxStalledCount: MOST_STALLS,
    runRetryDelay: 1_000,
    // For jobs of other producers, which bring no retention of their own.
    removeOnComplete: INBOX_JOB_OPTIONS.removeOnComplete,
    removeOnFail: INBOX_JOB_OPTIONS.removeOnFail,
    settings: {
      backoffStrategy: (attemptsMade, _type, _error, job) => {
        const { backoff } = job?.opts ?? {};
        return computeBackoffMs(attemptsMade, typeof backoff === "object" ? backoff.delay : undefined);
      },
    },
  });
  // Another worker takes such a job over: what this one does for it must end.
  worker.on("lockRenewalFailed", (jobIds) => jobIds.forEach((jobId) => worker.cancelJob(jobId)));
  // Without a listener, a connection error would end the process; the connection's own listener tells of it once.
  worker.on("error", (error) => log.debug({ err: error, queue: name }, "worker error"));
  // Here and not in the processor, which a job that killed its workers too often does not reach again.
  worker.on("failed", (job, error) => void endFailedJob(options, name, job, error));
  return worker;
}

/** Jobs of one queue that this process works on at once. */
const JOBS_AT_ONCE = 8;

/** Twice as many: programs that run here for hours may take half of them, and the rest follows other trainings. */
const TRAININGS_AT_ONCE = 16;

/** A worker that is killed keeps its job until this has passed; a chain must go on within seconds. */
const JOB_LOCK_MS = 5_000;

/** Workers that a job may lose before it is failed. */
const MOST_STALLS = 3;

/** Stalls after which a job is under suspicion: once, its worker may have died of anything. */
const SUSPICIOUS_STALLS = 2;

/**
 * Keeps a job that kills its worker from taking others along until they are failed with it: jobs that lost their workers
 * twice run one at a time, and those that wait for their turn do so outside of the worker.
 */
function createIsolation() {
  let isOccupied = false;
  return <T>(processor: Processor<T>): Processor<T> =>
    async (job, token, signal) => {
      // BullMQ does so itself, but not for the jobs of a schedule. A person may try it again after that.
      if (job.stalledCounter > MOST_STALLS && job.attemptsMade === 0)
        throw new UnrecoverableError("job stalled more than allowable limit");
      if (job.stalledCounter < SUSPICIOUS_STALLS) return processor(job, token, signal);
      if (isOccupied) return delay(job, computeBackoffMs(1), token);
      isOccupied = true;
      try {
        return await processor(job, token, signal);
      } finally {
        isOccupied = false;
      }
    };
}

function createInboxProcessor(options: RegisterOptions): Processor<IntakeResult> {
  const { processors, prefix, log } = options;
  return async (job, token) => {
    const startedAt = performance.now();
    const jobLog = log.child({ stage: "intake", jobId: job.id });
    try {
      const result = await processors.intake({
        name: job.name,
        data: job.data,
        key: inboxKey(job, prefix),
        runId: inboxRunId(job, prefix),
        isRetry: job.attemptsStarted > 1,
      });
      if (result === "busy") return await delay(job, FOLLOW_UP_DELAY_MS, token);
      jobLog.info({ ...result, model: modelOf(job), durationMs: since(startedAt) }, "inbox job taken");
      return result;
    } catch (error) {
      // Another producer's job may allow one attempt only, and its event must outlive more than that.
      if (!isPermanent(error)) await tryAgain(job, token, error, jobLog);
      throw toBullError(error);
    }
  };
}
