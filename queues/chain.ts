import type { FlowProducer, JobState, Queue } from "bullmq";
import { buildFlow } from "./flow.ts";
import type { DecisionRequest, FollowUpRequest, StageJob } from "./jobs.ts";
import { INBOX_JOBS } from "./names.ts";
import {
  FOLLOW_UP_DELAY_MS,
  FOLLOW_UP_PRIORITY,
  JOB_OPTIONS,
  NEW_TRACE,
  NEXT_LOOK_MARGIN_MS,
} from "./options.ts";

/** Starts chains and follow-ups. Both are idempotent. */
export interface Chain {
  /** The state of a run's chain in Redis: absent, open (a failed one can be retried by hand) or done. */
  stateOf(runId: string): Promise<"absent" | "open" | "done">;
  start(job: StageJob): Promise<void>;
  /** The follow-up of a run on the inbox: absent, open (a failed one can be retried by hand) or done. */
  followUpStateOf(runId: string): Promise<"absent" | "open" | "done">;
  /**
   * Puts a follow-up on the inbox, where it waits until the lock is free. Returns "over" if it has already started its run,
   * which may not cover this request.
   */
  requestFollowUp(
    model: string,
    runId: string,
    because: FollowUpRequest["because"],
  ): Promise<"waiting" | "over">;
  /** Whether the act stage of a run exists and has not ended: it is settling the dispatch, or will. */
  isActOpen(runId: string): Promise<boolean>;
  /**
   * Whether the act stage of a run has completed before. BullMQ releases the next stage in the same step, so this is true
   * only for a manual retry, never for an automatic one.
   */
  hasActCompleted(runId: string): Promise<boolean>;
  /** Schedules the follow-up of a decision for its `nextLookAt`. */
  scheduleNextLook(look: NextLook): Promise<void>;
  /** Removes the scheduled follow-up of a decision that is no longer the latest. Returns whether it had started already. */
  cancelNextLook(model: string, decisionId: number): Promise<boolean>;
  /** Makes a waiting follow-up try to take the lock now. */
  wakeFollowUp(runId: string): Promise<void>;
}

/** When to re-evaluate a model if nothing else happens. */
interface NextLook {
  model: string;
  decisionId: number;
  waitMs: number;
}

export function createChain(queues: {
  inbox: Queue;
  act: Queue;
  summarize: Queue;
  flow: Pick<FlowProducer, "add">;
}): Chain {
  const { inbox, act, summarize, flow } = queues;
  const followUpJobId = (runId: string): string => `followup-${runId}`;
  const nextLookJobId = (model: string, decisionId: number): string => `next-look-${model}-${decisionId}`;
  return {
    // The chain is added as a whole, so its last stage stands for all of it.
    stateOf: async (runId) => toState(await summarize.getJobState(runId)),
    async start(job) {
      await flow.add(buildFlow(job));
    },
    followUpStateOf: async (runId) => toState(await inbox.getJobState(followUpJobId(runId))),
    async requestFollowUp(model, runId, because) {
      const job = await inbox.add(INBOX_JOBS.followup, { model, runId, because } satisfies FollowUpRequest, {
        ...JOB_OPTIONS,
        jobId: followUpJobId(runId),
        delay: FOLLOW_UP_DELAY_MS,
        priority: FOLLOW_UP_PRIORITY,
      });
      const state = await job.getState();
      // The job may have failed for good: without a retry, nothing would cover the request.
      if (state === "failed") await job.retry("failed");
      // If many runs are superseded one after the other, one follow-up re-evaluates after the last of them.
      if (because === "superseded" && state === "delayed") {
        // It may be starting right now, which is fine: its snapshot is yet to be taken.
        await job.changeDelay(FOLLOW_UP_DELAY_MS).catch(() => {});
      }
      return state === "completed" ? "over" : "waiting";
    },
    async isActOpen(runId) {
      return !["completed", "failed", "unknown"].includes(await act.getJobState(runId));
    },
    async hasActCompleted(runId) {
      const next = await summarize.getJobState(runId);
      return next !== "waiting-children" && next !== "unknown";
    },
    async scheduleNextLook({ model, decisionId, waitMs }) {
      await inbox.add(INBOX_JOBS.nextLook, { model } satisfies DecisionRequest, {
        ...JOB_OPTIONS,
        // One id per decision: a follow-up that already ran is not repeated.
        jobId: nextLookJobId(model, decisionId),
        delay: Math.max(0, Math.ceil(waitMs)) + NEXT_LOOK_MARGIN_MS,
        priority: FOLLOW_UP_PRIORITY,
        telemetry: NEW_TRACE,
      });
    },
    async cancelNextLook(model, decisionId) {
      const jobId = nextLookJobId(model, decisionId);
      // Sent together, in this order. The job may be starting right now, which is harmless: the model is evaluated once more.
      const [state] = await Promise.all([inbox.getJobState(jobId), inbox.remove(jobId).catch(() => 0)]);
      return state === "active" || state === "completed";
    },
    async wakeFollowUp(runId) {
      const job = await inbox.getJob(followUpJobId(runId));
      // Other runs may be about to be superseded too.
      if (!job || (job.data as FollowUpRequest).because === "superseded") return;
      // It may be trying right now; then it retries on its own.
      await job.promote().catch(() => {});
    },
  };
}

function toState(state: JobState | "unknown"): "absent" | "open" | "done" {
  if (state === "unknown") return "absent";
  return state === "completed" ? "done" : "open";
}
