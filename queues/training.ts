import { setTimeout as pause } from "node:timers/promises";
import type { Job, Queue } from "bullmq";
import { TrainingJob } from "./jobs.ts";
import { TRAINING } from "./names.ts";
import { TRAINING_OPTIONS } from "./options.ts";

/** Makes sure that a training is followed: one job per run, retried if it has already ended. */
export async function followTraining(
  queue: Queue,
  followed: Omit<TrainingJob, "note">,
  delayMs: number,
): Promise<void> {
  const job = await queue.add("follow", followed satisfies TrainingJob, {
    ...TRAINING_OPTIONS,
    jobId: followed.runId,
    delay: delayMs,
  });
  const stored = await queue.getJob(followed.runId);
  // What is left of a job whose data Redis lost: retried as it is, it could only fail again.
  if (stored?.finishedOn !== undefined && !TrainingJob.safeParse(stored.data).success)
    await stored.updateData(followed);
  await retryIfEnded(job);
}

async function retryIfEnded(job: Job): Promise<void> {
  const state = await job.getState();
  // Another process may be doing the same.
  if (state === "completed" || state === "failed") await job.retry(state).catch(() => {});
}

/**
 * Makes the jobs that work on a dispatch continue now: the act stage of the run, if it waits for the trainer, and the
 * training's own job. Returns whether the training has a job.
 */
export async function wakeTraining(queues: readonly Queue[], runId: string): Promise<boolean> {
  const find = (name: string) => queues.find((queue) => queue.name === name);
  const [act, training] = [find("act"), find(TRAINING)];
  if (act && (await act.getJobState(runId)) === "delayed") await wakeJob(act, runId);
  return training !== undefined && wakeJob(training, runId);
}

/** Makes sure that a training's job runs now: the one that exists, or a new one if it was removed. */
export async function resumeTraining(
  queues: readonly Queue[],
  run: Pick<TrainingJob, "runId" | "model">,
): Promise<void> {
  const training = queues.find(({ name }) => name === TRAINING);
  if (!(await wakeTraining(queues, run.runId)) && training) await followTraining(training, run, 0);
}

const MAX_WAKE_CHECKS = 30;

/**
 * Runs a run's job now. An active job may have read the status too early, so this first waits for it to finish, at most three
 * seconds. Returns whether the job exists.
 */
async function wakeJob(queue: Queue, runId: string): Promise<boolean> {
  const job = await queue.getJob(runId);
  if (!job) return false;
  for (let attempt = 1; (await job.getState()) === "active" && attempt <= MAX_WAKE_CHECKS; attempt += 1)
    await pause(100);
  // Another process may be doing the same.
  if ((await job.getState()) === "delayed") await job.promote().catch(() => {});
  else await retryIfEnded(job);
  return true;
}
