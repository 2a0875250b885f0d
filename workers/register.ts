import { DelayedError, UnrecoverableError, Worker, type Job } from "bullmq";
import type { Redis } from "ioredis";
import type { z } from "zod";
import { PermanentError, messageOf } from "../src/errors.ts";
import type { Logger } from "../src/logger.ts";
import { parseInput } from "../src/parse-input.ts";
import type { DecisionLock } from "../src/redis/decision-lock.ts";
import { deriveRunId } from "../src/run-id.ts";
import {
  Acted,
  type DecisionSummary,
  Evaluated,
  FollowUpRequest,
  Gathered,
  type IntakeResult,
  ModelName,
  StageJob,
} from "../queues/jobs.ts";
import { INBOX, INBOX_JOBS, type QueueName, type Stage } from "../queues/names.ts";
import { computeBackoffMs, FOLLOW_UP_DELAY_MS, INBOX_TRIES, JOB_OPTIONS } from "../queues/options.ts";
import type { Chain } from "./chain.ts";
import { endRun, type InboxJob } from "./intake.ts";
import type { StageOutput } from "./stage.ts";

type Awaitable<T> = T | Promise<T>;

export interface Processors {
  intake(job: InboxJob): Promise<IntakeResult | "busy">;
  gather(job: StageJob): Awaitable<StageOutput<Gathered>>;
  evaluate(gathered: Gathered): Awaitable<StageOutput<Evaluated>>;
  act(job: StageJob, evaluated: Evaluated): Awaitable<StageOutput<Acted>>;
  summarize(job: StageJob, acted: Acted): Awaitable<StageOutput<DecisionSummary>>;
}

export interface RegisterOptions {
  connection: Redis;
  prefix: string;
  processors: Processors;
  lock: DecisionLock;
  lockTtlMs: number;
  chain: Chain;
  log: Logger;
}

/**
 * Makes a BullMQ worker of each processor. What all of them share is done here and nowhere else: parsing what comes
 * in, mapping errors (permanent ones fail at once, the rest is tried again), logging, and the decision lock.
 */
export function registerWorkers(options: RegisterOptions): Worker[] {
  const { processors } = options;
  return [
    createWorker(options, INBOX, createInboxProcessor(options)),
    createWorker(
      options,
      "gather",
      stageProcessor(options, "gather", (job) => processors.gather(job)),
    ),
    createWorker(
      options,
      "evaluate",
      stageProcessor(options, "evaluate", async (_, job) =>
        processors.evaluate(await readChild(job, Gathered)),
      ),
    ),
    createWorker(
      options,
      "act",
      stageProcessor(options, "act", async (data, job) =>
        processors.act(data, await readChild(job, Evaluated)),
      ),
    ),
    createWorker(
      options,
      "summarize",
      stageProcessor(options, "summarize", async (data, job) =>
        processors.summarize(data, await readChild(job, Acted)),
      ),
    ),
  ];
}

function createWorker(
  { connection, prefix, log }: RegisterOptions,
  name: QueueName,
  processor: (job: Job, token?: string) => Promise<unknown>,
): Worker {
  const worker = new Worker(name, processor, {
    connection,
    prefix,
    concurrency: 8,
    // A worker that is killed keeps its job until this has passed; a chain must go on within seconds.
    lockDuration: 8_000,
    stalledInterval: 4_000,
    maxStalledCount: 3,
    // For jobs of other producers, which bring no retention of their own.
    removeOnComplete: JOB_OPTIONS.removeOnComplete,
    removeOnFail: JOB_OPTIONS.removeOnFail,
    settings: { backoffStrategy: (attemptsMade) => computeBackoffMs(attemptsMade) },
  });
  // Without a listener, a connection error would end the process; the connection's own listener tells of it once.
  worker.on("error", (error) => log.debug({ err: error, queue: name }, "worker error"));
  return worker;
}

function createInboxProcessor(options: RegisterOptions) {
  const { processors, prefix, log } = options;
  return async (job: Job, token?: string): Promise<IntakeResult> => {
    const startedAt = performance.now();
    const key = `${prefix}:${job.id}:${job.timestamp}`;
    const runId = deriveRunId(key, job.timestamp);
    const jobLog = log.child({ stage: "intake", jobId: job.id });
    try {
      const result = await processors.intake({
        name: job.name,
        data: job.data,
        key,
        runId,
        isRetry: job.attemptsStarted > 1,
      });
      if (result === "busy") return await delay(job, FOLLOW_UP_DELAY_MS, token);
      jobLog.info({ ...result, model: modelOf(job), durationMs: since(startedAt) }, "inbox job taken");
      return result;
    } catch (error) {
      if (error instanceof DelayedError) throw error;
      // Another producer's job may allow one attempt only, and its event must outlive a server that is away.
      if (!isPermanent(error) && job.attemptsStarted < INBOX_TRIES) {
        jobLog.warn({ err: messageOf(error), attempt: job.attemptsStarted }, "failed, will be tried again");
        return delay(job, computeBackoffMs(job.attemptsStarted), token);
      }
      // A follow-up has the id that its producer gave it, all others the derived one.
      const followUp = job.name === INBOX_JOBS.followup ? FollowUpRequest.safeParse(job.data) : null;
      throw await fail(
        options,
        job,
        { model: modelOf(job), runId: followUp?.data?.runId ?? runId },
        error,
        jobLog,
      );
    }
  };
}

/** Puts a job back for a while, which counts as no attempt. */
async function delay(job: Job, delayMs: number, token: string | undefined): Promise<never> {
  await job.moveToDelayed(Date.now() + delayMs, token);
  throw new DelayedError();
}

/** The model that an inbox job is about, as far as one can tell before it is parsed. */
function modelOf(job: Job): string {
  const data: unknown = job.data;
  const model = typeof data === "object" && data !== null && "model" in data ? data.model : undefined;
  return ModelName.catch("default").parse(model);
}

function stageProcessor<T>(
  options: RegisterOptions,
  stage: Stage,
  work: (data: StageJob, job: Job) => Awaitable<StageOutput<T>>,
) {
  const { lock, chain, log } = options;
  return async (job: Job): Promise<T> => {
    const startedAt = performance.now();
    const data = StageJob.safeParse(job.data);
    const run = data.success ? data.data : { runId: String(job.id), model: modelOf(job) };
    const stageLog = log.child({ runId: run.runId, model: run.model, stage });
    try {
      const stageJob = parseInput(StageJob, job.data, `${stage} job`);
      const output = await whileHolding(options, stage, stageJob, () => work(stageJob, job));
      // Not waited for: it goes ahead of the job's completion on the same connection.
      job
        .log(output.log)
        .catch((error: unknown) => stageLog.warn({ err: error }, "the job's log was not written"));
      // Once the chain is told, the model is free for the next run.
      if (stage === "summarize") await endRun(lock, chain, stageJob.model, stageJob.runId);
      stageLog.info({ durationMs: since(startedAt) }, "stage completed");
      return output.result;
    } catch (error) {
      throw await fail(options, job, run, error, stageLog);
    }
  };
}

/** Stages that wait for the database; the other two take no time worth renewing a lock for. */
const HOLDING_STAGES: readonly Stage[] = ["gather", "act"];

/**
 * Does a stage's work under the decision lock, renewed until it ends. A run that finds the lock with another one goes
 * on without it: the compare-and-set decides which of the two records.
 */
async function whileHolding<T>(
  { lock, lockTtlMs, chain, log }: RegisterOptions,
  stage: Stage,
  { model, runId }: StageJob,
  work: () => Awaitable<T>,
): Promise<T> {
  if (!HOLDING_STAGES.includes(stage)) return work();
  // Not waited for before the work: whatever it answers, the work is the same.
  const holding = lock.hold(model, runId);
  const renewal = setInterval(() => {
    lock
      .hold(model, runId)
      .catch((error: unknown) => log.debug({ err: error, runId, model }, "lock not renewed"));
  }, lockTtlMs / 3);
  try {
    const [result] = await Promise.all([work(), holding]);
    return result;
  } finally {
    clearInterval(renewal);
    // A lock that had to be taken anew may be that of a chain long done, one stage of which a person runs again:
    // no later stage would give it back.
    if ((await holding.catch(() => "lost")) === "taken" && (await chain.isDone(runId)))
      await endRun(lock, chain, model, runId);
  }
}

/** Logs a failure, gives the lock back after the last attempt, and answers the error that BullMQ is to see. */
async function fail(
  { lock, chain }: RegisterOptions,
  job: Job,
  { model, runId }: { model: string; runId: string },
  error: unknown,
  log: Logger,
): Promise<unknown> {
  const isFinal = isPermanent(error) || job.attemptsMade + 1 >= (job.opts.attempts ?? 1);
  const attempt = job.attemptsMade + 1;
  if (isFinal) log.error({ err: error, attempt }, "failed for good");
  else log.warn({ err: messageOf(error), attempt }, "failed, will be tried again");
  if (isFinal) await endRun(lock, chain, model, runId).catch(() => {});
  // BullMQ asks for its own class; the cause and the code would be lost on the way to Redis anyway.
  return error instanceof PermanentError ? new UnrecoverableError(error.message) : error;
}

function isPermanent(error: unknown): boolean {
  return error instanceof PermanentError || error instanceof UnrecoverableError;
}

/** The result of the stage before, which is the one child of this job. */
async function readChild<S extends z.ZodType>(job: Job, schema: S): Promise<z.infer<S>> {
  const results = Object.values(await job.getChildrenValues<unknown>());
  return parseInput(schema, results[0], "result of the stage before");
}

function since(startedAt: number): number {
  return Math.round((performance.now() - startedAt) * 10) / 10;
}
