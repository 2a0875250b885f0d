import type { Queue } from "bullmq";
import type { DecisionRequest } from "./jobs.ts";
import { INBOX_JOBS } from "./names.ts";
import { INBOX_JOB_OPTIONS } from "./options.ts";

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
    if (known?.pattern === pattern && known.tz === TIME_ZONE && (await hasNextJob(inbox, id, known.next)))
      continue;
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

/**
 * Whether a scheduler's next job is there: each one makes the next when it starts. One that is late is left alone: its
 * time came while no worker ran, and making the scheduler anew would take that decision away.
 */
async function hasNextJob(inbox: Queue, id: string, next: number | undefined): Promise<boolean> {
  if (next === undefined) return false;
  const state = await inbox.getJobState(`repeat:${id}:${next}`);
  return ["delayed", "waiting", "prioritized", "active"].includes(state);
}
