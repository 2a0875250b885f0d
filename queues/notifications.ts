import type { Queue } from "bullmq";
import type { Notification, NotificationJob, NotificationTarget } from "./jobs.ts";
import { NOTIFICATION_OPTIONS } from "./options.ts";

/** Sends a notification to every target in the settings, once for each kind, run and `suffix`. */
export type Notify = (notification: Notification, suffix?: string) => Promise<void>;

/** Which notification reported the problem that is resolved. */
export interface ReportedProblem extends Pick<Notification, "kind" | "runId"> {
  suffix: string;
}

/** Sends the resolution of a problem once to every target that was notified of it. */
export type NotifyEnd = (problem: ReportedProblem, notification: Notification) => Promise<void>;

/**
 * Puts notifications on their queue, one job per target, so that neither target waits for the other and no decision waits for
 * either. `suffix` tells two notifications of the same kind and run apart.
 */
export function createNotify(queue: Queue, targets: readonly NotificationTarget[]): Notify {
  return async (notification, suffix = "") => {
    for (const target of targets) await add(queue, target, notification, suffix);
  };
}

/** The job of the first notification, which is kept for a month, shows whether a target was notified of the problem. */
export function createNotifyEnd(queue: Queue, targets: readonly NotificationTarget[]): NotifyEnd {
  return async (problem, notification) => {
    const { suffix } = problem;
    for (const target of targets)
      if ((await queue.getJobState(toJobId(target, problem, suffix))) !== "unknown")
        await add(queue, target, notification, suffix);
  };
}

async function add(
  queue: Queue,
  target: NotificationTarget,
  notification: Notification,
  suffix: string,
): Promise<void> {
  const time = new Date().toISOString();
  await queue.add(notification.kind, { target, time, notification } satisfies NotificationJob, {
    ...NOTIFICATION_OPTIONS,
    jobId: toJobId(target, notification, suffix),
  });
}

function toJobId(
  target: NotificationTarget,
  { kind, runId }: Pick<Notification, "kind" | "runId">,
  suffix: string,
): string {
  return `${target}-${kind}-${runId}${suffix}`;
}
