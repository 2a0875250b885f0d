import type { JobSchedulerJson, Queue } from "bullmq";
import { CronExpressionParser } from "cron-parser";
import { forEachAtOnce, REQUESTS_AT_ONCE } from "./at-once.ts";
import type { DecisionRequest } from "./jobs.ts";
import { INBOX_JOBS } from "./names.ts";
import { JOB_OPTIONS, NEW_TRACE } from "./options.ts";
import { computeSpreadOffsetMs } from "./spread.ts";

const TIME_ZONE = "UTC";

/** The id of a model's job scheduler. */
function schedulerId(model: string): string {
  return `schedule-${model}`;
}

/** The id of the job that a scheduler creates for an instant, in Unix milliseconds. */
function scheduledJobId(id: string, instant: number): string {
  return `repeat:${id}:${instant}`;
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
  await forEachAtOnce([...patterns], REQUESTS_AT_ONCE, async ([model, pattern]) => {
    if (pattern === null) return;
    const id = schedulerId(model);
    const known = present.get(id);
    present.delete(id);
    const isSame = known?.pattern === pattern && known.tz === TIME_ZONE && !isOfEarlierVersion(known);
    if (isSame && (await hasNextJob(inbox, id, known.next))) return;
    await inbox.upsertJobScheduler(
      id,
      { pattern, tz: TIME_ZONE },
      {
        name: INBOX_JOBS.schedule,
        data: { model } satisfies DecisionRequest,
        opts: { ...JOB_OPTIONS, telemetry: NEW_TRACE },
      },
    );
  });
  await removeUnclaimed(inbox, [...present.keys()], claims);
}

const MINUTE_MS = 60_000;

/** Whether a scheduler's jobs would all continue one trace. Not worth replacing it just before it fires. */
function isOfEarlierVersion({ template, next = 0 }: JobSchedulerJson): boolean {
  return template?.opts?.telemetry?.omitContext !== true && next > Date.now() + MINUTE_MS;
}

/** @param keys The existing schedulers that these settings do not need. */
async function removeUnclaimed(inbox: Queue, keys: readonly string[], claims: Claims): Promise<void> {
  const leftOver = keys.filter((key) => key.startsWith(schedulerId("")));
  if (leftOver.length === 0) return;
  // Read after the schedulers: a service claims a model before it creates its scheduler.
  const claimed = await claims.listElsewhere();
  await forEachAtOnce(leftOver, REQUESTS_AT_ONCE, async (key) => {
    const model = key.slice(schedulerId("").length);
    if (!claimed.has(model)) await inbox.removeJobScheduler(key);
  });
}

/**
 * Whether a scheduler's next job exists: each job creates the next one when it starts. An overdue job is left alone: it
 * became due while no worker ran, and recreating the scheduler would drop it.
 */
async function hasNextJob(inbox: Queue, id: string, next: number | undefined): Promise<boolean> {
  if (next === undefined) return false;
  const state = await inbox.getJobState(scheduledJobId(id, next));
  return ["delayed", "waiting", "prioritized", "active"].includes(state);
}

/** When a schedule makes its next request, in Unix milliseconds. */
export interface NextFiring {
  /** The time in the cron pattern for which a job waits. */
  dueAt: number;
  /** The earliest request, with the model's share of the spread. */
  firesAt: number;
}

/** Returns null if the model has no scheduler. */
export async function findNextFiring(
  inbox: Queue,
  model: string,
  { schedule, spreadMs }: { schedule: string; spreadMs: number },
  now: number,
): Promise<NextFiring | null> {
  const id = schedulerId(model);
  const dueAt = (await inbox.getJobScheduler(id))?.next;
  if (dueAt === undefined) return null;
  const offsetMs = computeSpreadOffsetMs(model, spreadMs);
  // The job of an earlier instant may still wait for its share of the spread.
  const earlier = CronExpressionParser.parse(schedule, {
    tz: TIME_ZONE,
    currentDate: new Date(now - offsetMs),
  })
    .next()
    .getTime();
  const isWaiting = earlier < dueAt && (await inbox.getJobState(scheduledJobId(id, earlier))) === "delayed";
  return { dueAt, firesAt: (isWaiting ? earlier : dueAt) + offsetMs };
}
