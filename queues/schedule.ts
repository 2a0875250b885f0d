import type { Queue } from "bullmq";
import type { DecisionRequest } from "./jobs.ts";
import { INBOX_JOBS } from "./names.ts";
import { INBOX_JOB_OPTIONS } from "./options.ts";

/** A schedule whose next job is later than this has lost it: each job makes the next one when it starts. */
const OVERDUE_MS = 60_000;

const TIME_ZONE = "UTC";

/** The id of a model's job scheduler. */
export function schedulerId(model: string): string {
  return `schedule-${model}`;
}

/**
 * Makes the inbox's schedulers those of the settings: one per model with a cron pattern (UTC), none for the others,
 * none left over from models that the settings no longer name. One that is right already is left alone.
 */
export async function syncSchedules(
  inbox: Queue,
  patterns: ReadonlyMap<string, string | null>,
): Promise<void> {
  const present = new Map((await inbox.getJobSchedulers()).map((scheduler) => [scheduler.key, scheduler]));
  for (const [model, pattern] of patterns) {
    if (pattern === null) continue;
    const id = schedulerId(model);
    const known = present.get(id);
    present.delete(id);
    const isAlive = known?.next !== undefined && known.next > Date.now() - OVERDUE_MS;
    if (isAlive && known.pattern === pattern && known.tz === TIME_ZONE) continue;
    await inbox.upsertJobScheduler(
      id,
      { pattern, tz: TIME_ZONE },
      { name: INBOX_JOBS.schedule, data: { model } satisfies DecisionRequest, opts: INBOX_JOB_OPTIONS },
    );
  }
  for (const key of present.keys()) {
    if (key.startsWith(schedulerId(""))) await inbox.removeJobScheduler(key);
  }
}
