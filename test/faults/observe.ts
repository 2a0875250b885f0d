import type { Job, Queue } from "bullmq";
import { IntakeResult, TrainingReport } from "../../queues/jobs.ts";
import { INBOX, INBOX_JOBS, QUEUES, TRAINING } from "../../queues/names.ts";
import { DecisionSummary } from "../../src/core/report/decision-summary.ts";
import { createLogger } from "../../src/process/logger.ts";
import { openQueue } from "../../src/redis/open-queue.ts";
import { auditLatest, type Observation, type ObservedDecision } from "./auditor.ts";
import type { Sandbox } from "./sandbox.ts";
import { listKeys } from "../support/redis-keys.ts";

export interface SentEvent {
  eventRunId: string;
  sentAt: number;
  jobId: string;
}

/** Where a run left its traces. */
export type Observed = Pick<Sandbox, "settings" | "redis" | "sql" | "github">;

const OPEN_STATES = ["active", "waiting", "delayed", "prioritized", "waiting-children"] as const;

/** Opens the sandbox's queues while `use` runs. */
async function withQueues<T>(sandbox: Observed, use: (queues: Queue[]) => Promise<T>): Promise<T> {
  const options = { connection: sandbox.redis, prefix: sandbox.settings["REDIS_PREFIX"] ?? "" };
  const queues = QUEUES.map((name) => openQueue(name, options, createLogger("silent")));
  try {
    return await use(queues);
  } finally {
    await Promise.all(queues.map((queue) => queue.close()));
  }
}

/** How long rest must last, because a process that was paused has yet to notice what became of its work. */
const REST_MS = 1_000;

/**
 * Waits until nothing is under way: no job that will run, no event that waits for a decision, no decision that waits for
 * its dispatch, for the end of its training or for its follow-up to be scheduled. Returns when that began, in Unix
 * milliseconds, or null if it did not happen within the limit.
 */
export async function untilAtRest(sandbox: Observed, limitMs: number): Promise<number | null> {
  const deadline = Date.now() + limitMs;
  return withQueues(sandbox, async (queues) => {
    let restsSince: number | null = null;
    while (Date.now() < deadline) {
      const open = await Promise.all(queues.map(countOpen));
      const isAtRest =
        open.every((count) => count === 0) &&
        (await countWaiting(sandbox)) === 0 &&
        auditLatest({ ...(await readDecisions(sandbox, queues)), hasGuard: isGuarded(sandbox) }).length === 0;
      restsSince = isAtRest ? (restsSince ?? Date.now()) : null;
      if (restsSince !== null && Date.now() - restsSince >= REST_MS) return restsSince;
      await new Promise((resolve) => setTimeout(resolve, 200));
    }
    return null;
  });
}

function isGuarded({ settings }: Observed): boolean {
  return settings["RETRIGGER_GUARD"] !== "off";
}

/**
 * Counts jobs that will run; not those that only watch a failed training or search for an unknown one, nor follow-ups whose
 * time has not come.
 */
async function countOpen(queue: Queue): Promise<number> {
  if (queue.name === INBOX) return (await listOpenInbox(queue)).length;
  if (queue.name !== TRAINING) return queue.getJobCountByTypes(...OPEN_STATES);
  const jobs = await queue.getJobs([...OPEN_STATES]);
  const reports = jobs.map(({ progress }) => TrainingReport.safeParse(progress).data);
  return reports.filter((report) => !report?.alertsBackAt && report?.state !== "unknown").length;
}

async function listOpenInbox(queue: Queue): Promise<Job[]> {
  const jobs = await queue.getJobs([...OPEN_STATES]);
  return jobs.filter(
    (job) => job && (job.name !== INBOX_JOBS.nextLook || job.timestamp + job.delay <= Date.now()),
  );
}

async function countWaiting(sandbox: Observed): Promise<number> {
  const rows = await sandbox.sql(
    `SELECT FROM retraining_events AS event WHERE outcome <> 'drift_run_failed'
     AND NOT EXISTS (SELECT FROM retraining_decisions WHERE run_id = event.run_id
       OR (model = event.model AND (evidence ->> 'takenAt')::timestamptz >= event.received_at))
     UNION ALL SELECT FROM retraining_dispatches WHERE state IN ('pending', 'sent', 'running')`,
  );
  return rows.length;
}

/** Reads everything that a run left in Postgres, in Redis and at the trainer. */
export async function observe(
  sandbox: Observed,
  sent: SentEvent[],
  { hasGuard, mayRedisForget, doublesRuns }: Pick<Observation, "hasGuard" | "mayRedisForget" | "doublesRuns">,
): Promise<Omit<Observation, "leaks" | "unverified">> {
  const events = await sandbox.sql<Observation["events"][number]>(
    `SELECT event_run_id AS "eventRunId", run_id AS "runId", floor(extract(epoch FROM received_at) * 1000)::float8 AS "receivedAt"
     FROM retraining_events`,
  );
  const prefix = sandbox.settings["REDIS_PREFIX"];
  const keysLeft = [
    ...(await listKeys(sandbox.redis, `${prefix}:decision-lock:*`)),
    ...(await listKeys(sandbox.redis, `${prefix}:follow-up:*`)),
  ];
  const jobs = await withQueues(sandbox, (queues) => readJobs(queues, sent));
  const latest = await withQueues(sandbox, (queues) => readDecisions(sandbox, queues));
  return {
    ...jobs,
    ...latest,
    events,
    trainings: sandbox.github.runs.map(({ name, createdAt }) => ({
      key: name.replace("Retrain ", ""),
      askedAt: createdAt,
    })),
    contractFaults: sandbox.github.faults,
    doublesRuns,
    keysLeft,
    hasGuard,
    mayRedisForget,
  };
}

async function readDecisions(
  sandbox: Observed,
  queues: Queue[],
): Promise<Pick<Observation, "decisions" | "dispatches" | "pendingFollowUps">> {
  const decisions = await sandbox.sql<ObservedDecision>(
    `SELECT id, run_id AS "runId", decision, previous_id AS "previousId", alert_ids AS "alertIds",
       (evidence #>> '{lastDecisions,0,id}')::integer AS "seenId",
       floor(extract(epoch FROM (evidence ->> 'takenAt')::timestamptz) * 1000)::float8 AS "takenAt",
       reason_codes AS "reasonCodes", next_look_at > now() AS "needsFollowUp",
       num_nulls(decision_date, decision, reason, buffer_size, notes, run_id, cause, trainer, criteria, policy, policy_hash) = 0
         AS "isComplete"
     FROM retraining_decisions ORDER BY id`,
  );
  const dispatches = await sandbox.sql<Observation["dispatches"][number]>(
    `SELECT decision_id AS "decisionId", state, floor(extract(epoch FROM asked_at) * 1000)::float8 AS "askedAt",
       extra_runs AS "extraRuns" FROM retraining_dispatches ORDER BY decision_id`,
  );
  const delayed = await queues.find(({ name }) => name === INBOX)?.getJobs(["delayed"]);
  const followUps = (delayed ?? []).filter((job) => job?.name === INBOX_JOBS.nextLook);
  return { decisions, dispatches, pendingFollowUps: followUps.map(({ id }) => String(id)) };
}

async function readJobs(
  queues: Queue[],
  sent: SentEvent[],
): Promise<Pick<Observation, "sent" | "summaries" | "brokenJobs">> {
  const [inbox, summarize] = [INBOX, "summarize"].map((name) => queues.find((queue) => queue.name === name));
  const ends = await Promise.all(
    sent.map(async ({ jobId, ...event }) => {
      const job = await inbox?.getJob(jobId);
      if (!job) return { ...event, job: null };
      const result = IntakeResult.safeParse(job.returnvalue);
      return { ...event, job: { state: await job.getState(), result: result.data ?? null } };
    }),
  );
  const completed = (await summarize?.getJobs(["completed"])) ?? [];
  const broken = await Promise.all(
    queues.map(async (queue) => {
      if (queue.name === TRAINING) return queue.getJobs(["failed"]);
      if (queue.name === INBOX)
        return [...(await listOpenInbox(queue)), ...(await queue.getJobs(["failed"]))];
      return queue.getJobs([...OPEN_STATES, "failed"]);
    }),
  );
  return {
    sent: ends,
    summaries: new Map(completed.map((job) => [String(job.id), DecisionSummary.parse(job.returnvalue)])),
    brokenJobs: broken
      .flat()
      .map((job: Job) => `${job.queueName} ${job.id}: ${job.failedReason ?? "never ended"}`),
  };
}
