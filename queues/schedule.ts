import type { Queue } from "bullmq";
import type { DecisionRequest } from "./jobs.ts";
import { INBOX_JOBS } from "./names.ts";
import { INBOX_JOB_OPTIONS } from "./options.ts";

const TIME_ZONE = "UTC";

/** The id of a model's job scheduler. */
export function schedulerId(model: string): string {
  return `schedule-${model}`;
}

/** Which models the services on the same prefix serve. */
export interface Claims {
  refresh(): Promise<void>;
  listElsewhere(): Promise<ReadonlySet<string>>;
}

/**
 * Syncs the inbox's schedulers with the settings: one per model with a cron pattern (UTC). Removes schedulers that neither
 * these settings nor another live service needs, and leaves those alone that are already correct.
 */
export async function syncSchedules(
  inbox: Queue,
  patterns: ReadonlyMap<string, string | null>,
  claims: Claims,
): Promise<void> {
  // Claim first, schedule second: another service may read both at any moment.
  await claims.refresh();
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
  await removeUnclaimed(inbox, [...present.keys()], claims);
}

/** @param keys The existing schedulers that these settings do not need. */
async function removeUnclaimed(inbox: Queue, keys: readonly string[], claims: Claims): Promise<void> {
  const leftOver = keys.filter((key) => key.startsWith(schedulerId("")));
  if (leftOver.length === 0) return;
  // Read after the schedulers: a service claims a model before it creates its scheduler.
  const claimed = await claims.listElsewhere();
  for (const key of leftOver) {
    const model = key.slice(schedulerId("").length);
    if (!claimed.has(model)) await inbox.removeJobScheduler(key);
  }
}

/**
 * Whether a scheduler's next job exists: each job creates the next one when it starts. An overdue job is left alone: it
 * became due while no worker ran, and recreating the scheduler would drop it.
 */
async function hasNextJob(inbox: Queue, id: string, next: number | undefined): Promise<boolean> {
  if (next === undefined) return false;
  const state = await inbox.getJobState(`repeat:${id}:${next}`);
  return ["delayed", "waiting", "prioritized", "active"].includes(state);
}
