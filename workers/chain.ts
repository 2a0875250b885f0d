import type { FlowProducer, Queue } from "bullmq";
import { buildFlow } from "../queues/flow.ts";
import type { FollowUpRequest, StageJob } from "../queues/jobs.ts";
import { INBOX_JOBS } from "../queues/names.ts";
import { wakeJob } from "../queues/training.ts";
import { FOLLOW_UP_DELAY_MS, FOLLOW_UP_PRIORITY, INBOX_JOB_OPTIONS } from "../queues/options.ts";

/** Starts chains and follow-ups. Doing either twice does it once. */
export interface Chain {
  /** Whether the chain of a run is in Redis: not at all, not at its end yet (a failed one waits for a person), or done. */
  stateOf(runId: string): Promise<"absent" | "open" | "done">;
  start(job: StageJob): Promise<void>;
  /** Whether a run's follow-up is on the inbox, or was, as far as the history reaches. */
  hasFollowUp(runId: string): Promise<boolean>;
  /**
   * Puts a follow-up on the inbox; it waits there until the lock is free. "over": it waited and went before, so it may not
   * cover what is asked for now.
   */
  requestFollowUp(
    model: string,
    runId: string,
    because: FollowUpRequest["because"],
  ): Promise<"waiting" | "over">;
  /** Lets the act stage of a run work on: now where it waits, once more where it came to its end. False where it is gone. */
  actAgain(runId: string): Promise<boolean>;
  /** Lets a waiting follow-up look at the lock now. */
  wakeFollowUp(runId: string): Promise<void>;
}

export function createChain(queues: {
  inbox: Queue;
  act: Queue;
  summarize: Queue;
  flow: Pick<FlowProducer, "add">;
}): Chain {
  const { inbox, act, summarize, flow } = queues;
  const followUpJobId = (runId: string): string => `followup-${runId}`;
  return {
    // The chain is added as a whole, so its last stage stands for all of it.
    async stateOf(runId) {
      const state = await summarize.getJobState(runId);
      if (state === "unknown") return "absent";
      return state === "completed" ? "done" : "open";
    },
    async start(job) {
      await flow.add(buildFlow(job));
    },
    hasFollowUp: async (runId) => (await inbox.getJobState(followUpJobId(runId))) !== "unknown",
    async requestFollowUp(model, runId, because) {
      const job = await inbox.add(INBOX_JOBS.followup, { model, runId, because } satisfies FollowUpRequest, {
        ...INBOX_JOB_OPTIONS,
        jobId: followUpJobId(runId),
        delay: FOLLOW_UP_DELAY_MS,
        priority: FOLLOW_UP_PRIORITY,
      });
      const state = await job.getState();
      // The id may belong to a job that failed for good, by which nothing would be covered.
      if (state === "failed") await job.retry("failed");
      // Where many runs are superseded one after the other, one follow-up looks again after the last of them.
      if (because === "superseded" && state === "delayed") {
        // It may begin this very moment, which does as well: its snapshot is still to come.
        await job.changeDelay(FOLLOW_UP_DELAY_MS).catch(() => {});
      }
      return state === "completed" ? "over" : "waiting";
    },
    actAgain: (runId) => wakeJob(act, runId),
    async wakeFollowUp(runId) {
      const job = await inbox.getJob(followUpJobId(runId));
      // Other runs may be about to be superseded too.
      if (!job || (job.data as FollowUpRequest).because === "superseded") return;
      // It may be at the lock already; then it looks again by itself.
      await job.promote().catch(() => {});
    },
  };
}
