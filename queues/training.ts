import { setTimeout as pause } from "node:timers/promises";
import type { Job, Queue } from "bullmq";
import type { TrainingJob } from "./jobs.ts";
import { TRAINING } from "./names.ts";
import { TRAINING_OPTIONS } from "./options.ts";

/** Makes sure that a training is followed: one job per run, retried if it has already ended. */
export async function followTraining(
  queue: Queue,
  { runId, model }: Pick<TrainingJob, "runId" | "model">,
  delayMs: number,
): Promise<void> {
  const job = await queue.add("follow", { runId, model } satisfies TrainingJob, {
    ...TRAINING_OPTIONS,
    jobId: runId,
    delay: delayMs,
  });
  await retryIfEnded(job);
}

async function retryIfEnded(job: Job): Promise<void> {
  const state = await job.getState();
  // Another process may do the same at this moment.
  if (state === "completed" || state === "failed") await job.retry(state).catch(() => {});
}

/**
 * Lets the job that works on a dispatch poll its training now: the act stage of the run while it waits for the trainer, and
 * the training's own job. Returns whether the training has a job.
 */
export async function wakeTraining(queues: readonly Queue[], runId: string): Promise<boolean> {
  const find = (name: string) => queues.find((queue) => queue.name === name);
  const [act, training] = [find("act"), find(TRAINING)];
  if (act && (await act.getJobState(runId)) === "delayed") await wakeJob(act, runId);
  return training !== undefined && wakeJob(training, runId);
}

const WAKE_TRIES = 30;

/**
 * Runs the waiting job of a run now. An active job may have read the status too early, so this waits for it, at most three
 * seconds. Returns whether there is such a job.
 */
async function wakeJob(queue: Queue, runId: string): Promise<boolean> {
  const job = await queue.getJob(runId);
  if (!job) return false;
  for (let attempt = 1; (await job.getState()) === "active" && attempt <= WAKE_TRIES; attempt += 1)
    await pause(100);
  // Another process may do the same at this moment.
  if ((await job.getState()) === "delayed") await job.promote().catch(() => {});
  else await retryIfEnded(job);
  return true;
}
