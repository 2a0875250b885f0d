import type { Job } from "bullmq";
import { z } from "zod";
import { FollowUpRequest, ModelName } from "../../queues/jobs.ts";
import { INBOX, INBOX_JOBS, type QueueName } from "../../queues/names.ts";
import { deriveRunId } from "../../queues/run-id.ts";

/** What identifies a job of the inbox for all time, also after Redis started counting its jobs anew. */
export function inboxKey(job: Job, prefix: string): string {
  return `${prefix}:${job.id}:${job.timestamp}`;
}

/** A follow-up has the run id that its producer gave it, all others the one that their key gives. */
export function inboxRunId(job: Job, prefix: string): string {
  const followUp = job.name === INBOX_JOBS.followup ? FollowUpRequest.safeParse(job.data) : null;
  return followUp?.data?.runId ?? deriveRunId(inboxKey(job, prefix), job.timestamp);
}

/** The model that a job is about, as far as one can tell before it is parsed. */
export function modelOf(job: Job): string {
  const named = NamesModel.safeParse(job.data).data;
  return ModelName.catch("default").parse(named?.notification?.model ?? named?.model);
}

const WithModel = z.object({ model: z.unknown() }).partial();
const NamesModel = WithModel.extend({ notification: WithModel.optional().catch(undefined) });

/** The run that a job belongs to. */
export function runIdOf(queue: QueueName, job: Job, prefix: string): string {
  return queue === INBOX ? inboxRunId(job, prefix) : String(job.id);
}
