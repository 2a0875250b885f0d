import type { Job } from "bullmq";
import { z } from "zod";
import type { Logger } from "../../src/process/logger.ts";
import type { ManualRetry } from "../stage.ts";

const Reopened = z.object({ reopened: z.literal(true) });

/** The mark of a manual retry is the job's progress, which survives a crash. */
export function toManualRetry(job: Job): ManualRetry {
  return {
    wasReopened: Reopened.safeParse(job.progress).success,
    markReopened: () => job.updateProgress({ reopened: true } satisfies z.infer<typeof Reopened>),
  };
}

/** Removes the mark once the stage has completed, so that it can be retried again. */
export async function forgetReopening(job: Job, log: Logger): Promise<void> {
  if (!Reopened.safeParse(job.progress).success) return;
  await job
    .updateProgress({})
    .catch((error: unknown) => log.debug({ err: error, jobId: job.id }, "mark of a retry not removed"));
}
