import { computeBackoffMs } from "../../queues/options.ts";
import { PermanentError } from "../../src/core/errors.ts";
import { createSlots } from "../../src/process/slots.ts";
import { delay, type Processor, toBullError } from "./job-control.ts";

/** How many workers a job may lose before it fails. */
export const MAX_STALLS = 3;

/** Stalls after which a job is suspect: a single one may have had any cause. */
const SUSPICIOUS_STALLS = 2;

/**
 * Keeps a job that kills its worker from taking other suspects down with it: jobs that lost two workers run one at a time,
 * and the rest of them wait in the delayed set.
 */
export function createIsolation() {
  const slots = createSlots(1);
  return <T>(processor: Processor<T>): Processor<T> =>
    async (job, token, signal) => {
      // BullMQ does this itself, but not for scheduled jobs. A manual retry (attemptsMade > 0) is let through.
      if (job.stalledCounter > MAX_STALLS && job.attemptsMade === 0)
        throw toBullError(new PermanentError("STALLED", "job stalled more than allowable limit"));
      if (job.stalledCounter < SUSPICIOUS_STALLS) return processor(job, token, signal);
      const release = slots.take();
      if (release === null) return delay(job, computeBackoffMs(1), token);
      try {
        return await processor(job, token, signal);
      } finally {
        release();
      }
    };
}
