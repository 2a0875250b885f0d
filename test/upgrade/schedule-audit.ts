import type { Queue } from "bullmq";

/** Every three seconds. */
export const SCHEDULE = "*/3 * * * * *";
const PERIOD_MS = 3_000;

/**
 * What is wrong with the requests that a schedule made between its first and its last one: an instant without a request, or
 * a request that did not complete.
 */
export async function auditSchedule(inbox: Queue): Promise<{ fired: number; faults: string[] }> {
  const jobs = await inbox.getJobs(["completed", "failed"]);
  const fired = jobs.filter(({ id }) => id?.startsWith("repeat:schedule-default:"));
  const failed = fired.filter(({ failedReason }) => Boolean(failedReason));
  const instants = fired.map(({ id }) => Number(id?.split(":").at(-1))).toSorted((a, b) => a - b);
  const gaps = instants.filter(
    (instant, index) => index > 0 && instant - (instants[index - 1] ?? 0) > PERIOD_MS,
  );
  return {
    fired: fired.length,
    faults: [
      ...failed.map(({ id, failedReason }) => `schedule: ${id} failed: ${failedReason}`),
      ...gaps.map((instant) => `schedule: nothing fired before ${new Date(instant).toISOString()}`),
      ...(fired.length === 0 ? ["schedule: nothing fired at all"] : []),
    ],
  };
}
