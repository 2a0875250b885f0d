import type { Queue } from "bullmq";
import type { DecisionRequest } from "./jobs.ts";
import { INBOX_JOBS } from "./names.ts";
import { INBOX_JOB_OPTIONS } from "./options.ts";

const TIME_ZONE = "UTC";

/** The id of a model's job scheduler. */
export function schedulerId(model: string): string {
  return `schedule-${model}`;
}

/** What a service says of its models to other services on the same prefix, and they to it. */
export interface Claims {
  refresh(): Promise<void>;
  listElsewhere(): Promise<ReadonlySet<string>>;
}

/**
 * Makes the inbox's schedulers those of the settings: one per model with a cron pattern (UTC), none for the others, and
 * none left over from models that neither these settings nor those of another live service name. One that is right already
 * is left alone.
 */
export async function syncSchedules(
  inbox: Queue,
  patterns: ReadonlyMap<string, string | null>,
  claims: Claims,
): Promise<void> {
  // Before its schedulers are there: another service may look at both at any moment.
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
  await removeUnclaimed(inbox, [...present.keys()], patterns, claims);
}

/** @param keys Those of the schedulers that were there before, less those that the settings want. */
async function removeUnclaimed(
  inbox: Queue,
  keys: readonly string[],
  patterns: ReadonlyMap<string, string | null>,
  claims: Claims,
): Promise<void> {
  const leftOver = keys.filter((key) => key.startsWith(schedulerId("")));
  if (leftOver.length === 0) return;
  // Read after the schedulers: a service claims a model before it makes its scheduler.
  const claimed = await claims.listElsewhere();
  for (const key of leftOver) {
    const model = key.slice(schedulerId("").length);
    if (patterns.has(model) || !claimed.has(model)) await inbox.removeJobScheduler(key);
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
