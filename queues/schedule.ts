import type { Queue } from "bullmq";
import type { DecisionRequest } from "./jobs.ts";
import { INBOX_JOBS } from "./names.ts";
import { JOB_OPTIONS } from "./options.ts";

/** The id of a model's job scheduler. */
export function schedulerId(model: string): string {
  return `schedule-${model}`;
}

/**
 * Makes the inbox's schedulers those of the settings: one per model with a cron pattern (UTC), none for the others,
 * none left over from models that the settings no longer name.
 */
export async function syncSchedules(
  inbox: Queue,
  patterns: ReadonlyMap<string, string | null>,
): Promise<void> {
  const wanted = new Set<string>();
  for (const [model, pattern] of patterns) {
    if (pattern === null) continue;
    wanted.add(schedulerId(model));
    await inbox.upsertJobScheduler(
      schedulerId(model),
      { pattern, tz: "UTC" },
      { name: INBOX_JOBS.schedule, data: { model } satisfies DecisionRequest, opts: JOB_OPTIONS },
    );
  }
  const present = await inbox.getJobSchedulers();
  for (const { key } of present) {
    if (key.startsWith(schedulerId("")) && !wanted.has(key)) await inbox.removeJobScheduler(key);
  }
}
