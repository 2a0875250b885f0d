import type { Queue } from "bullmq";
import type { Notification, NotificationJob, NotificationTarget } from "./jobs.ts";
import { NOTIFICATION_OPTIONS } from "./options.ts";

/** Sends a notification to every target in the settings, once for each kind, run and `suffix`. */
export type Notify = (notification: Notification, suffix?: string) => Promise<void>;

/**
 * Puts notifications on their queue, one job per target, so that neither target waits for the other and no decision waits for
 * either. `suffix` tells two notifications of the same kind and run apart.
 */
export function createNotify(queue: Queue, targets: readonly NotificationTarget[]): Notify {
  return async (notification, suffix = "") => {
    const { kind, runId } = notification;
    const time = new Date().toISOString();
    for (const target of targets) {
      await queue.add(kind, { target, time, notification } satisfies NotificationJob, {
        ...NOTIFICATION_OPTIONS,
        jobId: `${target}-${kind}-${runId}${suffix}`,
      });
    }
  };
}
