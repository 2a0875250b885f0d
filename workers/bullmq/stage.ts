import type { Job } from "bullmq";
import type { z } from "zod";
import { type Abandoned, describeAbandoned } from "../../queues/abandoned.ts";
import type { Chain } from "../../queues/chain.ts";
import { StageJob } from "../../queues/jobs.ts";
import { type Stage, STAGES } from "../../queues/names.ts";
import { parseInput } from "../../src/core/parse.ts";
import type { Policy } from "../../src/core/policy.ts";
import { toRecordedPolicy } from "../../src/core/recorded-policy.ts";
import type { Logger } from "../../src/process/logger.ts";
import type { DecisionLock } from "../../src/redis/decision-lock.ts";
import { isServerAway } from "../../src/redis/refusal.ts";
import { endRun } from "../follow-up.ts";
import type { StageOutput, StagePause } from "../stage.ts";
import { type ChildResult, readChild, stageBefore } from "./child-result.ts";
import type { Compaction } from "./compaction.ts";
import type { HandOver } from "./hand-over.ts";
import {
  delay,
  elapsedMs,
  isJobMoved,
  isLastAttempt,
  isPermanent,
  logRetry,
  type Processor,
  retryLater,
  toBullError,
} from "./job-control.ts";
import { writeJobLog } from "./job-log.ts";
import type { LoggedReasons } from "./logged-reasons.ts";
import type { RunLog } from "./run-log.ts";

export type Awaitable<T> = T | Promise<T>;

export interface StageProcessorOptions {
  lock: DecisionLock;
  lockTtlMs: number;
  chain: Chain;
  handOver: HandOver;
  compaction: Pick<Compaction, "read">;
  log: Logger;
  reasons: LoggedReasons;
  runLog: RunLog;
}

type Work<T> = () => Awaitable<StageOutput<T> | StagePause>;

/** The processor of the first stage. */
export function createFirstStageProcessor<T extends object>(
  options: StageProcessorOptions,
  stage: Stage,
  work: (data: StageJob) => Awaitable<StageOutput<T> | StagePause>,
): Processor<T> {
  return withErrorMapping(options, stage, (data, job, token) =>
    runStage(options, stage, data, { job, token }, () => work(data)),
  );
}

const ACT_POLL_MS = 2_000;

/** The processor of a stage that takes the result of the previous one, parsed with `schema`. */
export function createStageProcessor<S extends z.ZodType, T extends object>(
  options: StageProcessorOptions,
  stage: Stage,
  schema: S,
  work: (data: StageJob, previous: z.infer<S>, job: Job) => Awaitable<StageOutput<T> | StagePause>,
): Processor<T | Abandoned> {
  return withErrorMapping<T | Abandoned>(options, stage, async (data, job, token) => {
    const child = await findChild(options, stage, schema, { job, token });
    switch (child.outcome) {
      case "ended":
        return runStage(options, stage, data, { job, token }, () => work(data, child.result, job));
      case "abandoned":
        // Act was retried by hand as well: its result is missing until it completes again.
        if (stage === LAST_STAGE && (await options.chain.isActOpen(String(job.id))))
          return delay(job, ACT_POLL_MS, token);
        return abandonRun(options, stage, data, job, child);
      default:
        return child satisfies never;
    }
  });
}

/**
 * The result of the previous stage: as it was handed over in this process, or else from Redis, or from Postgres for a stage that
 * is retried by hand after its run has completed.
 */
async function findChild<S extends z.ZodType>(
  { handOver, compaction }: StageProcessorOptions,
  stage: Stage,
  schema: S,
  { job, token }: { job: Job; token: string | undefined },
): Promise<ChildResult<z.infer<S>>> {
  const runId = String(job.id);
  const isFirstStart = job.attemptsStarted === 1;
  // A stage that started before may have to work with another result than it did then.
  const handedOver = isFirstStart ? handOver.take(runId, stageBefore(stage)) : undefined;
  if (handedOver !== undefined) return { outcome: "ended", result: handedOver as z.infer<S> };
  const child = await readChild(job, token, stage, schema);
  if (child.outcome === "ended" || isFirstStart) return child;
  const result = await compaction.read(runId, stage);
  return result === null ? child : { outcome: "ended", result: result as z.infer<S> };
}

/** Parses a stage's job and maps errors for BullMQ. */
function withErrorMapping<T>(
  { log, reasons }: StageProcessorOptions,
  stage: Stage,
  work: (data: StageJob, job: Job, token: string | undefined) => Promise<T>,
): Processor<T> {
  return async (job, token) => {
    try {
      return await work(parseInput(StageJob, job.data, `${stage} job`), job, token);
    } catch (error) {
      if (isJobMoved(error)) throw error;
      if (isServerAway(error)) await retryLater(job, token, error, { log, reasons });
      // What fails for good is logged by `endFailedJob`.
      else if (!isPermanent(error) && !isLastAttempt(job))
        logRetry(job, error, job.attemptsMade + 1, { log, reasons });
      throw toBullError(error);
    }
  };
}

async function runStage<T extends object>(
  options: StageProcessorOptions,
  stage: Stage,
  data: StageJob,
  { job, token }: { job: Job; token: string | undefined },
  work: Work<T>,
): Promise<T> {
  const { lock, chain, handOver, log, runLog } = options;
  const startedAt = performance.now();
  const output = await withDecisionLock(options, stage, data, work);
  if (output.log !== undefined) writeJobLog(job, output.log, log);
  if (output.kind === "pause") return pauseStage(options, stage, output, data, { job, token });
  // Not awaited: the lock is released before the job completes, because both use the same connection.
  if (output.endsRun)
    endRun(lock, chain, data.model, data.runId).catch((error: unknown) =>
      log.debug({ err: error, runId: data.runId, model: data.model }, "lock not released; it will expire"),
    );
  runLog.completed(data, stage, job, elapsedMs(startedAt), output.line);
  if (stage !== LAST_STAGE) handOver.offer(data.runId, stage, output.result);
  return toStored(output.result);
}

/** No stage takes its result. */
const LAST_STAGE = STAGES.at(-1);

/** The result as the next stage of another version can read it, too. */
function toStored<T>(result: T): T {
  const { policy } = result as { policy?: Policy };
  return policy === undefined ? result : { ...result, policy: toRecordedPolicy(policy) };
}

async function pauseStage(
  { lock, lockTtlMs, chain, runLog }: StageProcessorOptions,
  stage: Stage,
  pause: StagePause,
  data: StageJob,
  { job, token }: { job: Job; token: string | undefined },
): Promise<never> {
  const { pauseMs, keepsLock } = pause;
  runLog.waits(data, stage, pause);
  // The lock was renewed less than a third of its lifetime ago, and nothing renews it during the pause.
  if (keepsLock) return delay(job, Math.min(pauseMs, lockTtlMs / 3), token);
  // A run that waits for its trainer has recorded its decision and no longer needs the lock.
  await endRun(lock, chain, data.model, data.runId);
  return delay(job, pauseMs, token);
}

/** Ends a stage of a run that lost a job, so that the chain completes and the model is free for the next run. */
async function abandonRun(
  { lock, chain, log }: StageProcessorOptions,
  stage: Stage,
  data: StageJob,
  job: Job,
  abandoned: Abandoned,
): Promise<Abandoned> {
  const { model, runId } = data;
  writeJobLog(job, describeAbandoned(runId, abandoned), log);
  await endRun(lock, chain, model, runId);
  // The stages after this one find the same.
  const isFirst = STAGES.indexOf(stage) === STAGES.indexOf(abandoned.removed) + 1;
  log[isFirst ? "info" : "debug"]({ model, removed: abandoned.removed, runId }, "run abandoned");
  return abandoned;
}

/** Stages that wait for the database. The other two are too short to need the lock renewed. */
const LOCKING_STAGES: readonly Stage[] = ["gather", "act"];

/**
 * Does a stage's work under the decision lock, which is renewed until the work ends. If another run holds the lock, the
 * work continues without it: the compare-and-set decides which of the two is recorded.
 */
async function withDecisionLock<T>(
  { lock, lockTtlMs, chain, log }: StageProcessorOptions,
  stage: Stage,
  { model, runId }: StageJob,
  work: () => Awaitable<T>,
): Promise<T> {
  if (!LOCKING_STAGES.includes(stage)) return work();
  // Not awaited before the work, which does not depend on it.
  const holding = lock.hold(model, runId);
  const renewal = setInterval(() => {
    lock
      .renew(model, runId)
      .catch((error: unknown) => log.debug({ err: error, runId, model }, "lock not renewed"));
  }, lockTtlMs / 3);
  try {
    const [result] = await Promise.all([work(), holding]);
    return result;
  } finally {
    clearInterval(renewal);
    // If the lock had to be taken again, this may be a manual retry of one stage of a finished chain: no later stage would
    // release it.
    if ((await holding.catch(() => "lost")) === "taken" && (await chain.stateOf(runId)) === "done")
      await endRun(lock, chain, model, runId);
  }
}
