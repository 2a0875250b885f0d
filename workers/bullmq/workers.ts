import type { DecisionSummary } from "../../src/core/report/decision-summary.ts";
import { type Job, UnrecoverableError, Worker } from "bullmq";
import type { Redis } from "ioredis";
import { z } from "zod";
import type { Logger } from "../../src/process/logger.ts";
import { Acted, Evaluated, Gathered, type IntakeResult, type StageJob } from "../../queues/jobs.ts";
import { INBOX, NOTIFICATIONS, type QueueName, TRAINING } from "../../queues/names.ts";
import { computeBackoffMs, FOLLOW_UP_DELAY_MS, INBOX_JOB_OPTIONS } from "../../queues/options.ts";
import { endFailedJob, type FailureOptions, withFailureNotice } from "./failures.ts";
import { type ForeignModelOptions, returnForeignModels } from "./foreign-models.ts";
import type { InboxJob } from "../intake.ts";
import { delay, isPermanent, type Processor, since, toBullError, tryAgain } from "./job-control.ts";
import { inboxKey, inboxRunId, modelOf } from "./job-identity.ts";
import { createDeliveryProcessor, createTrainingProcessor, type SideProcessors } from "./side-queues.ts";
import { createSlots } from "../slots.ts";
import type { ManualRetry, StageOutput, StagePause } from "../stage.ts";
import { type Awaitable, createFirstStageProcessor, createStageProcessor } from "./stage.ts";

export interface Processors extends SideProcessors {
  intake(job: InboxJob): Promise<IntakeResult | "busy">;
  gather(job: StageJob): Awaitable<StageOutput<Gathered> | StagePause>;
  evaluate(gathered: Gathered): Awaitable<StageOutput<Evaluated>>;
  act(job: StageJob, evaluated: Evaluated, retry: ManualRetry): Awaitable<StageOutput<Acted> | StagePause>;
  summarize(job: StageJob, acted: Acted): Awaitable<StageOutput<DecisionSummary>>;
}

export interface RegisterOptions extends FailureOptions, ForeignModelOptions {
  connection: Redis;
  processors: Processors;
  lockTtlMs: number;
  /** How long a training that runs here survives without Redis, and how long it takes to notice that its worker died. */
  trainingLockMs: number;
  /** false for a process that must not start work that takes hours. */
  followsTrainings: boolean;
  /** Aborted when the process is to end: a training that runs in it ends too. */
  stopping: AbortSignal;
}

/**
 * Creates a BullMQ worker for each processor, and adds what they share: parsing of input, mapping of errors (permanent ones
 * fail at once, the rest are retried), logging and the decision lock.
 */
export function registerWorkers(options: RegisterOptions): Worker[] {
  const { processors } = options;
  const isolate = createIsolation();
  const createWorker = (name: QueueName, processor: Processor<unknown>, lockMs = JOB_LOCK_MS): Worker =>
    openWorker(options, name, isolate(withFailureNotice(options, name, processor)), lockMs);
  /** For stages that need the settings of their job's model. */
  const ofOwnModels = <T>(processor: Processor<T>): Processor<T> => returnForeignModels(options, processor);
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
        createStageProcessor(options, "act", Evaluated, (data, evaluated, job) =>
          processors.act(data, evaluated, toManualRetry(job)),
        ),
      ),
    ),
    createWorker(
      "summarize",
      createStageProcessor(options, "summarize", Acted, (data, acted) => processors.summarize(data, acted)),
    ),
    createWorker(NOTIFICATIONS, ofOwnModels(createDeliveryProcessor(options))),
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
    // For jobs of other producers, which set no retention.
    removeOnComplete: INBOX_JOB_OPTIONS.removeOnComplete,
    removeOnFail: INBOX_JOB_OPTIONS.removeOnFail,
    settings: {
      backoffStrategy: (attemptsMade, _type, _error, job) => {
        const { backoff } = job?.opts ?? {};
        return computeBackoffMs(attemptsMade, typeof backoff === "object" ? backoff.delay : undefined);
      },
    },
  });
  // Another worker takes over such a job, so this one must stop working on it.
  worker.on("lockRenewalFailed", (jobIds) => jobIds.forEach((jobId) => worker.cancelJob(jobId)));
  // Without a listener, a connection error would end the process; the connection's own listener reports it once.
  worker.on("error", (error) => log.debug({ err: error, queue: name }, "worker error"));
  // Only once the stage has completed may a person have the request sent again.
  if (name === "act") worker.on("completed", (job) => void forgetReopening(job, log));
  // Here and not in the processor: a job that killed its workers too often does not get there again.
  worker.on("failed", (job, error) => void endFailedJob(options, name, job, error));
  return worker;
}

/** Jobs of one queue that this process runs at once. */
const JOBS_AT_ONCE = 8;

/** Twice as many: programs that run here for hours may take half of them, and the rest follow other trainings. */
const TRAININGS_AT_ONCE = 16;

const Reopened = z.object({ reopened: z.literal(true) });

/** The mark lives in the job's progress, which survives a crash. */
function toManualRetry(job: Job): ManualRetry {
  return {
    wasReopened: Reopened.safeParse(job.progress).success,
    markReopened: () => job.updateProgress({ reopened: true } satisfies z.infer<typeof Reopened>),
  };
}

async function forgetReopening(job: Job, log: Logger): Promise<void> {
  if (!Reopened.safeParse(job.progress).success) return;
  await job
    .updateProgress({})
    .catch((error: unknown) => log.debug({ err: error, jobId: job.id }, "mark of a retry not removed"));
}

/** A killed worker keeps its job for this long; a chain must continue within seconds. */
const JOB_LOCK_MS = 5_000;

/** Workers that a job may lose before it is failed. */
const MOST_STALLS = 3;

/** Stalls after which a job is suspect: a single one may have had any cause. */
const SUSPICIOUS_STALLS = 2;

/**
 * Keeps a job that kills its worker from taking other jobs down with it: jobs that lost their workers twice run one at a
 * time, and the others wait their turn outside the worker.
 */
function createIsolation() {
  const slots = createSlots(1);
  return <T>(processor: Processor<T>): Processor<T> =>
    async (job, token, signal) => {
      // BullMQ does this itself, but not for scheduled jobs. A person may retry it after that.
      if (job.stalledCounter > MOST_STALLS && job.attemptsMade === 0)
        throw new UnrecoverableError("job stalled more than allowable limit");
      if (job.stalledCounter < SUSPICIOUS_STALLS) return processor(job, token, signal);
      const release = slots.take();
      if (release === null) return delay(job, computeBackoffMs(1), token);
      try {
        return await processor(job, token, signal);
      } finally {
        release();
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
      // Another producer's job may allow only one attempt, and its event must survive more failures than that.
      if (!isPermanent(error)) await tryAgain(job, token, error, jobLog);
      throw toBullError(error);
    }
  };
}
