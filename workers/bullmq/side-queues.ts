import { isServerAway } from "../../src/redis/refusal.ts";
import { DelayedError, type Job } from "bullmq";
import { TrainingJob, type TrainingReport } from "../../queues/jobs.ts";
import { computeBackoffMs } from "../../queues/options.ts";
import { messageOf } from "../../src/core/errors.ts";
import type { Logger } from "../../src/process/logger.ts";
import { parseInput } from "../../src/core/parse.ts";
import type { RunOptions } from "../../src/trainers/trainer.ts";
import { delay, isPermanent, since, toBullError } from "./job-control.ts";
import { ReceiverBusy } from "../notify.ts";
import type { TrainingStep } from "../training.ts";

/** The processors of the queues outside the chain. */
export interface SideProcessors {
  training(job: TrainingJob, options: RunOptions): Promise<TrainingStep>;
  deliver(data: unknown, jobId: string): Promise<{ status: number }>;
}

interface SideOptions {
  processors: SideProcessors;
  stopping: AbortSignal;
  log: Logger;
}

/** One job per training, delayed between two polls: nothing waits in this process, except for a program that runs in it. */
export function createTrainingProcessor({ processors, stopping, log }: SideOptions) {
  return async (job: Job, token?: string, signal?: AbortSignal): Promise<TrainingReport> => {
    const startedAt = performance.now();
    const trainingLog = log.child({ runId: String(job.id), stage: "training" });
    const jobLog = createJobLog(job, trainingLog);
    const data = parseTrainingJob(job);
    try {
      const step = await processors.training(data, {
        signal: AbortSignal.any([stopping, ...(signal ? [signal] : [])]),
        say: jobLog.say,
      });
      await jobLog.flush();
      const { report } = step;
      if (hasChanged(job.progress, report)) await job.updateProgress(report);
      if (step.outcome === "later") {
        if (step.note) await job.updateData({ ...data, note: step.note });
        return await delay(job, step.waitMs, token);
      }
      const { state, conclusion } = report;
      trainingLog.info(
        { state, conclusion, model: data.model, durationMs: since(startedAt) },
        "training ended",
      );
      return report;
    } catch (error) {
      if (error instanceof DelayedError) throw error;
      // Following may take days: it must neither run out of attempts nor end because a password was changed. A server that
      // is away has its own log line.
      trainingLog[isServerAway(error) ? "debug" : "warn"](
        { err: messageOf(error) },
        "training step failed; will be retried",
      );
      return await delay(
        job,
        isPermanent(error) ? PAUSE_AFTER_PERMANENT_ERROR_MS : PAUSE_AFTER_ERROR_MS,
        token,
      );
    }
  };
}

const PAUSE_AFTER_ERROR_MS = 5_000;
const PAUSE_AFTER_PERMANENT_ERROR_MS = 60_000;

function parseTrainingJob(job: Job): TrainingJob {
  try {
    return parseInput(TrainingJob, job.data, "training job");
  } catch (error) {
    throw toBullError(error);
  }
}

function hasChanged(reported: unknown, report: TrainingReport): boolean {
  return JSON.stringify(reported) !== JSON.stringify(report);
}

/** A notification that could not be delivered within a day is out of date. */
const DELIVERY_LIMIT_MS = 86_400_000;

/** Delivers one notification, later if the receiver asks us to wait. */
export function createDeliveryProcessor({ processors, log }: SideOptions) {
  return async (job: Job, token?: string): Promise<{ status: number }> => {
    try {
      return await processors.deliver(job.data, String(job.id));
    } catch (error) {
      const isInTime = Date.now() - job.timestamp < DELIVERY_LIMIT_MS;
      if (error instanceof ReceiverBusy && error.waitMs !== null && isInTime) {
        log.debug({ jobId: job.id, waitMs: error.waitMs }, error.message);
        // Not sooner than it would be retried without the receiver's hint.
        await delay(job, Math.max(error.waitMs, computeBackoffMs(job.attemptsStarted, 600_000)), token);
      }
      throw toBullError(error);
    }
  };
}

const FLUSH_MS = 250;
/** Output between two flushes is cut to its last part. */
const LONGEST_ENTRY = 4_000;

/** Writes lines into a job's log, several at once: a training may print thousands. */
function createJobLog(job: Job, log: Logger): { say(text: string): void; flush(): Promise<void> } {
  let lines: string[] = [];
  let timer: NodeJS.Timeout | undefined;
  let writing: Promise<unknown> = Promise.resolve();

  const write = (): void => {
    clearTimeout(timer);
    timer = undefined;
    if (lines.length === 0) return;
    const text = lines.join("\n");
    lines = [];
    const entry = text.length > LONGEST_ENTRY ? `… ${text.slice(-LONGEST_ENTRY)}` : text;
    writing = writing
      .then(() => job.log(entry))
      .catch((error: unknown) =>
        log[isServerAway(error) ? "debug" : "warn"]({ err: error }, "could not write to the job's log"),
      );
  };
  return {
    say(text) {
      lines.push(text);
      timer ??= setTimeout(write, FLUSH_MS);
    },
    async flush() {
      write();
      await writing;
    },
  };
}
