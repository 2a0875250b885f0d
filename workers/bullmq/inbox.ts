import type { IntakeResult } from "../../queues/jobs.ts";
import { FOLLOW_UP_DELAY_MS } from "../../queues/options.ts";
import type { Logger } from "../../src/process/logger.ts";
import type { InboxJob, IntakeOutcome } from "../intake.ts";
import { delay, elapsedMs, isPermanent, type Processor, retryLater, toBullError } from "./job-control.ts";
import { inboxKey, inboxRunId, modelOf } from "./job-identity.ts";

export interface InboxOptions {
  prefix: string;
  log: Logger;
  intake(job: InboxJob): Promise<IntakeOutcome>;
}

/** The processor of the inbox. */
export function createInboxProcessor({ intake, prefix, log }: InboxOptions): Processor<IntakeResult> {
  return async (job, token) => {
    const startedAt = performance.now();
    const jobLog = log.child({ stage: "intake", jobId: job.id });
    try {
      const outcome = await intake({
        name: job.name,
        data: job.data,
        key: inboxKey(job, prefix),
        runId: inboxRunId(job, prefix),
        isRetry: job.attemptsStarted > 1,
      });
      if (outcome.kind === "busy") return await delay(job, FOLLOW_UP_DELAY_MS, token);
      const { result } = outcome;
      jobLog.info({ ...result, model: modelOf(job), durationMs: elapsedMs(startedAt) }, "inbox job taken");
      return result;
    } catch (error) {
      // A job of another producer may allow only one attempt, but its event must survive more failures than that.
      if (!isPermanent(error)) await retryLater(job, token, error, jobLog);
      throw toBullError(error);
    }
  };
}
