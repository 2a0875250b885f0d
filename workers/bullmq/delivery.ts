import type { Job } from "bullmq";
import { computeBackoffMs } from "../../queues/options.ts";
import type { Logger } from "../../src/process/logger.ts";
import { ReceiverBusy } from "../notify.ts";
import { delay, type Processor, toBullError } from "./job-control.ts";

/** A notification that was not delivered within a day is out of date. */
const DELIVERY_LIMIT_MS = 86_400_000;

export interface DeliveryOptions {
  log: Logger;
  deliver(data: unknown, jobId: string): Promise<{ status: number }>;
}

/** The processor of notifications: delivers one, or delays it if the receiver requests a wait. */
export function createDeliveryProcessor({ deliver, log }: DeliveryOptions): Processor<{ status: number }> {
  return async (job: Job, token?: string) => {
    try {
      return await deliver(job.data, String(job.id));
    } catch (error) {
      const isInTime = Date.now() - job.timestamp < DELIVERY_LIMIT_MS;
      if (error instanceof ReceiverBusy && error.waitMs !== null && isInTime) {
        log.debug(
          { err: error.message, jobId: job.id, waitMs: error.waitMs },
          "delivery delayed by the receiver",
        );
        // No sooner than the usual backoff.
        await delay(job, Math.max(error.waitMs, computeBackoffMs(job.attemptsStarted, 600_000)), token);
      }
      throw toBullError(error);
    }
  };
}
