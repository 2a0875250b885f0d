import type { Job } from "bullmq";
import { findJobModel } from "../../queues/job-model.ts";
import { FollowUpRequest } from "../../queues/jobs.ts";
import { INBOX, INBOX_JOBS, type QueueName } from "../../queues/names.ts";
import { deriveRunId } from "../../queues/run-id.ts";

/** Identifies an inbox job permanently, even if Redis restarts its job counter. */
export function inboxKey(job: Job, prefix: string): string {
  return `${prefix}:${job.id}:${job.timestamp}`;
}

/** The run id of an inbox job: a follow-up carries its own, every other job derives one from its key. */
export function inboxRunId(job: Job, prefix: string): string {
  const followUp = job.name === INBOX_JOBS.followup ? FollowUpRequest.safeParse(job.data) : null;
  return followUp?.data?.runId ?? deriveRunId(inboxKey(job, prefix), job.timestamp);
}

/** The model of a job that is not validated yet. */
export function modelOf(job: Job): string {
  return findJobModel(job.data);
}

/** The run that a job belongs to. */
export function runIdOf(queue: QueueName, job: Job, prefix: string): string {
  return queue === INBOX ? inboxRunId(job, prefix) : String(job.id);
}
