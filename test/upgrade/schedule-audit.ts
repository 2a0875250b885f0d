import type { Queue } from "bullmq";

/** Every three seconds. */
export const SCHEDULE = "*/3 * * * * *";
/** An instant is skipped if the request of the one before begins later, as it may on a busy machine. */
const LONGEST_GAP_MS = 12_000;

/**
 * What is wrong with the requests that a schedule made until `endedAt` (Unix milliseconds): a time without any, or a request
 * that did not complete.
 */
export async function auditSchedule(
  inbox: Queue,
  endedAt: number,
): Promise<{ fired: number; faults: string[] }> {
  const jobs = await inbox.getJobs(["completed", "failed"]);
  const fired = jobs.filter(({ id }) => id?.startsWith("repeat:schedule-default:"));
  const failed = fired.filter(({ failedReason }) => Boolean(failedReason));
  const instants = fired.map(({ id }) => Number(id?.split(":").at(-1))).toSorted((a, b) => a - b);
  const gaps = [...instants, endedAt].filter(
    (instant, index) => instant - (instants[index - 1] ?? instants[0] ?? 0) > LONGEST_GAP_MS,
  );
  return {
    fired: fired.length,
    faults: [
      ...failed.map(({ id, failedReason }) => `schedule: ${id} failed: ${failedReason}`),
      ...gaps.map((end) => `schedule: nothing fired in the 12 s before ${new Date(end).toISOString()}`),
    ],
  };
}
