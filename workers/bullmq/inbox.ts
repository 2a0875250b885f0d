import type { Job } from "bullmq";
import type { IntakeResult } from "../../queues/jobs.ts";
import { bringsChecks } from "../../queues/outbox.ts";
import { INBOX_JOBS } from "../../queues/names.ts";
import { FOLLOW_UP_DELAY_MS } from "../../queues/options.ts";
import { computeSpreadOffsetMs } from "../../queues/spread.ts";
import type { Logger } from "../../src/process/logger.ts";
import type { InboxJob, IntakeOutcome } from "../intake.ts";
import { delay, elapsedMs, isPermanent, type Processor, retryLater, toBullError } from "./job-control.ts";
import type { LoggedReasons } from "./logged-reasons.ts";
import { inboxKey, inboxRunId, modelOf } from "./job-identity.ts";

export interface InboxOptions {
  prefix: string;
  log: Logger;
  reasons: LoggedReasons;
  intake(job: InboxJob): Promise<IntakeOutcome>;
  /** Over how long the schedules of models with the same pattern are spread; 0 for none, or an unknown model. */
  spreadMsOf(model: string): number;
}

/** The processor of the inbox. */
export function createInboxProcessor({
  intake,
  spreadMsOf,
  prefix,
  log,
  reasons,
}: InboxOptions): Processor<IntakeResult> {
  return async (job, token) => {
    const startedAt = performance.now();
    try {
      const waitMs = computeSpreadWaitMs(job, spreadMsOf(modelOf(job)));
      if (waitMs > 0) return await delay(job, waitMs, token);
      const outcome = await intake({
        name: job.name,
        data: job.data,
        key: inboxKey(job, prefix),
        runId: inboxRunId(job, prefix),
        isRetry: job.attemptsStarted > 1,
        bringsChecks: bringsChecks(job.id),
      });
      if (outcome.kind === "busy") {
        logBusy(job, { log, reasons });
        return await delay(job, FOLLOW_UP_DELAY_MS, token);
      }
      const { result } = outcome;
      // A run that is started gets its line at its end.
      const level = result.outcome === "started" ? "debug" : "info";
      log[level](
        {
          model: modelOf(job),
          request: job.name,
          ...result,
          durationMs: elapsedMs(startedAt),
          jobId: job.id,
        },
        MESSAGES[result.outcome],
      );
      return result;
    } catch (error) {
      // A job of another producer may allow only one attempt, but its event must survive more failures than that.
      if (!isPermanent(error)) await retryLater(job, token, error, { log, reasons });
      throw toBullError(error);
    }
  };
}

const MESSAGES = {
  started: "run started",
  folded: "folded into a follow-up",
  duplicate: "duplicate event",
  drift_run_failed: "the drift run failed, so nothing is decided",
  model_removed: "the model was removed from the settings, so nothing is decided",
} as const satisfies Record<IntakeResult["outcome"], string>;

function logBusy(job: Job, { log, reasons }: Pick<InboxOptions, "log" | "reasons">): void {
  const why = "another run of the model is under way";
  const level = reasons.levelFor(`${job.queueName} ${job.id}`, why, "info");
  log[level]({ model: modelOf(job), why, jobId: job.id }, "follow-up waits");
}

/**
 * How long the job of a schedule still has to wait for its model's share of the spread. Counted from the instant in the cron
 * pattern, so that a restart in between neither shortens nor repeats the wait.
 */
function computeSpreadWaitMs(job: Job, spreadMs: number): number {
  const { prevMillis: instant } = job.opts;
  if (job.name !== INBOX_JOBS.schedule || instant === undefined) return 0;
  return instant + computeSpreadOffsetMs(modelOf(job), spreadMs) - Date.now();
}
