import type { FlowProducer, Queue } from "bullmq";
import { buildFlow } from "../queues/flow.ts";
import type { FollowUpRequest, StageJob } from "../queues/jobs.ts";
import { INBOX_JOBS } from "../queues/names.ts";
import { FOLLOW_UP_DELAY_MS, JOB_OPTIONS } from "../queues/options.ts";

/** Starts chains and follow-ups. Doing either twice does it once. */
export interface Chain {
  /** Whether the chain of a run was ever added, as far as the history reaches. */
  exists(runId: string): Promise<boolean>;
  /** Whether the chain of a run came to its end. */
  isDone(runId: string): Promise<boolean>;
  start(job: StageJob): Promise<void>;
  /** Puts a follow-up on the inbox; it waits there until the lock is free. */
  requestFollowUp(model: string, runId: string): Promise<void>;
  /** Lets a waiting follow-up look at the lock now. */
  wakeFollowUp(runId: string): Promise<void>;
}

export function createChain(queues: { inbox: Queue; summarize: Queue; flow: FlowProducer }): Chain {
  const { inbox, summarize, flow } = queues;
  const followUpJobId = (runId: string): string => `followup-${runId}`;
  return {
    // The chain is added as a whole, so its last stage stands for all of it.
    exists: async (runId) => (await summarize.getJob(runId)) !== undefined,
    isDone: async (runId) => (await summarize.getJobState(runId)) === "completed",
    async start(job) {
      await flow.add(buildFlow(job));
    },
    async requestFollowUp(model, runId) {
      const job = await inbox.add(INBOX_JOBS.followup, { model, runId } satisfies FollowUpRequest, {
        ...JOB_OPTIONS,
        jobId: followUpJobId(runId),
        delay: FOLLOW_UP_DELAY_MS,
      });
      // The id may belong to a job that failed for good, by which nothing would be covered.
      if ((await job.getState()) === "failed") await job.retry("failed");
    },
    async wakeFollowUp(runId) {
      const job = await inbox.getJob(followUpJobId(runId));
      // It may be at the lock already, or its producer not yet here; it looks again by itself in either case.
      await job?.promote().catch(() => {});
    },
  };
}
