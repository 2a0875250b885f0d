import type { Job } from "bullmq";
import { TrainingJob, type TrainingReport } from "../../queues/jobs.ts";
import { messageOf } from "../../src/core/errors.ts";
import { parseInput } from "../../src/core/parse.ts";
import type { Logger } from "../../src/process/logger.ts";
import { isServerAway } from "../../src/redis/refusal.ts";
import type { RunOptions } from "../../src/trainers/trainer.ts";
import type { TrainingResult } from "../training.ts";
import { delay, isJobMoved, isPermanent, type Processor, toBullError } from "./job-control.ts";
import { createJobLog } from "./job-log.ts";
import type { LoggedReasons } from "./logged-reasons.ts";

export interface TrainingOptions {
  log: Logger;
  reasons: LoggedReasons;
  training(job: TrainingJob, options: RunOptions): Promise<TrainingResult>;
  /** Aborted when the process shuts down: a training that runs in it ends too. */
  stopping: AbortSignal;
}

/** The processor of trainings: one job per training, delayed between polls, so that only a local program occupies a worker. */
export function createTrainingProcessor({
  training,
  stopping,
  log,
  reasons,
}: TrainingOptions): Processor<TrainingReport> {
  return async (job, token, signal) => {
    const jobLog = createJobLog(job, log);
    const data = parseTrainingJob(job);
    try {
      const result = await training(data, {
        signal: AbortSignal.any([stopping, ...(signal ? [signal] : [])]),
        log: jobLog.append,
      });
      await jobLog.flush();
      const { report } = result;
      if (hasChanged(job.progress, report)) await job.updateProgress(report);
      if (result.outcome === "later") {
        if (result.note) await job.updateData({ ...data, note: result.note });
        return await delay(job, result.waitMs, token);
      }
      const { state, conclusion, durationSeconds, error } = report;
      const { model, runId } = data;
      log.info(
        { model, state, conclusion, durationSeconds, ...(error && { error }), runId },
        "training followed to its end",
      );
      return report;
    } catch (error) {
      if (isJobMoved(error)) throw error;
      // Following a training may take days: it must neither run out of attempts nor end because a password was changed. A
      // server that is away has its own log line.
      const why = messageOf(error);
      const level = isServerAway(error) ? "debug" : reasons.levelFor(`training ${job.id}`, why, "warn");
      log[level](
        { model: data.model, why, runId: data.runId },
        "following the training failed; will be retried",
      );
      return delay(job, isPermanent(error) ? PAUSE_AFTER_PERMANENT_ERROR_MS : PAUSE_AFTER_ERROR_MS, token);
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
