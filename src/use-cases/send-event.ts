import type { DecisionRequest, DriftMonitoringCompleted } from "../../queues/jobs.ts";
import { INBOX_JOBS } from "../../queues/names.ts";
import { JOB_OPTIONS } from "../../queues/options.ts";
import { outboxJobId } from "../../queues/outbox.ts";
import type { ReportedCheck } from "../../queues/reports.ts";
import { createRunId } from "../../queues/run-id.ts";
import type { Database } from "../postgres/database.ts";
import type { OutboxJob } from "../postgres/events.ts";
import type { Requester } from "./client.ts";

/** Whether an event is new, and the job on the inbox that it led to; null for none. */
export interface SentEvent {
  outcome: "accepted" | "duplicate";
  jobId: string | null;
  /** How many of its checks are new. */
  savedChecks: number;
}

/** The checks of an event's run. Without a run id of theirs, each is a new one. */
export interface EventReport {
  checks: readonly ReportedCheck[];
  runId: string | null;
}

interface Dependencies {
  database: Pick<Database, "findEvent" | "saveChecksWithJob" | "removeFromOutbox">;
  client: Pick<Requester, "send" | "inbox">;
}

interface RelayDependencies {
  database: Pick<Database, "listOutbox" | "removeFromOutbox">;
  client: Pick<Requester, "inbox">;
}

/**
 * Puts an event on the inbox. With checks, both are first saved in one transaction: no event without its checks, and no
 * checks without their event, whatever dies in between.
 */
export async function sendEvent(
  dependencies: Dependencies,
  event: DriftMonitoringCompleted,
  report: EventReport | null,
): Promise<SentEvent> {
  const { database, client } = dependencies;
  const { model = "default", runId, source = null } = event;
  const known = await database.findEvent(model, runId);
  // A drift run that failed first and succeeded later is a new event.
  const isDuplicate = known !== null && (!known.isFailed || event.status === "failed");
  const outcome = isDuplicate ? "duplicate" : "accepted";
  if (report === null) {
    const jobId = isDuplicate ? null : await client.send(INBOX_JOBS.event, event);
    return { outcome, jobId, savedChecks: 0 };
  }
  // The event of a run is taken once, so checks that come after it need a request of their own.
  const job: OutboxJob = isDuplicate
    ? { id: createRunId(), name: INBOX_JOBS.manual, data: { model } satisfies DecisionRequest }
    : { id: createRunId(), name: INBOX_JOBS.event, data: event };
  const savedChecks = await database.saveChecksWithJob(
    model,
    report.checks,
    { runId: report.runId, source },
    job,
  );
  if (!isDuplicate || savedChecks > 0)
    return { outcome, jobId: await relay(dependencies, job, savedChecks === 0), savedChecks };
  await database.removeFromOutbox(job.id);
  return { outcome, jobId: null, savedChecks };
}

/** Puts the jobs on the inbox whose process died, or lost Redis, before it could. */
export async function relayOutbox(dependencies: RelayDependencies): Promise<void> {
  const failures: unknown[] = [];
  for (const job of await dependencies.database.listOutbox())
    await relay(dependencies, job).catch((error: unknown) => failures.push(error));
  if (failures.length > 0) throw failures[0];
}

/** The job's id makes one job of it, however often it is put there. */
async function relay(
  { database, client }: { database: Pick<Database, "removeFromOutbox">; client: Pick<Requester, "inbox"> },
  { id, name, data }: OutboxJob,
  isRepeated = false,
): Promise<string> {
  const jobId = outboxJobId(id, isRepeated);
  await client.inbox.add(name, data, { ...JOB_OPTIONS, jobId });
  await database.removeFromOutbox(id);
  return jobId;
}
