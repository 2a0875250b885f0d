import type { Job, Queue } from "bullmq";
import { forEachAtOnce, REQUESTS_AT_ONCE } from "../../../queues/at-once.ts";
import { findJobModel } from "../../../queues/job-model.ts";
import { NOTIFICATIONS, type QueueName, STAGES } from "../../../queues/names.ts";
import { describeSpan } from "../../core/duration.ts";
import type { Config } from "../../config/config.ts";
import { about, type Finding, ok, warning } from "../../core/finding.ts";
import { formatCount, toPlain } from "../../core/format.ts";
import type { Database } from "../../postgres/database.ts";
import { readQueueAges } from "../../redis/queue-ages.ts";
import type { RedisConnection } from "../../redis/target.ts";
import { boardOf } from "../../outgoing/page-links.ts";

/** How many failed jobs of a queue are shown, and how many are read. */
const SHOWN_JOBS = 3;
const READ_JOBS = 100;

/** A job that is due and has waited for longer than this is not about to be taken. */
const LONG_WAIT_MS = 60_000;

const LONGEST_REASON = 300;

/** Finds what keeps jobs from being worked on: no worker, a paused queue, workers that do not keep up, failures for good. */
export async function diagnoseJobs(
  {
    queues,
    redis,
    database,
  }: {
    queues: readonly Queue[];
    redis: RedisConnection;
    database: Pick<Database, "readLatestDecision">;
  },
  config: Config,
  { workers, now }: { workers: number; now: number },
): Promise<Finding[]> {
  const { jobs: ages } = await readQueueAges(redis, config.redisPrefix, now);
  const found = await Promise.all(
    queues.map(async (queue) => {
      const state = await readQueue(queue, 1000 * (ages.get(queue.name as QueueName) ?? 0));
      return { ...state, failed: await dropRecovered(state, database) };
    }),
  );
  return [
    workers > 0
      ? ok(`${formatCount(workers)} worker ${workers === 1 ? "process takes" : "processes take"} jobs`)
      : warning("No worker is running, so events wait", "npm start"),
    ...found.flatMap((state) => [
      ...describePaused(state, config),
      ...(workers > 0 ? describeWait(state, config) : []),
      ...describeFailed(state, config, now),
    ]),
  ];
}

interface QueueState {
  name: string;
  isPaused: boolean;
  /** How long the oldest job that is due has waited; 0 if none is. */
  waitMs: number;
  failedCount: number;
  /** Newest first. */
  failed: Job[];
}

async function readQueue(queue: Queue, waitMs: number): Promise<QueueState> {
  const [isPaused, failedCount, failed] = await Promise.all([
    queue.isPaused(),
    queue.getFailedCount(),
    queue.getFailed(0, READ_JOBS - 1),
  ]);
  // A job may be removed while the list is read.
  return { name: queue.name, isPaused, waitMs, failedCount, failed: failed.filter(Boolean) };
}

/** Drops failed stages of models with a later decision. */
async function dropRecovered(
  { name, failed }: QueueState,
  database: Pick<Database, "readLatestDecision">,
): Promise<Job[]> {
  if (!STAGES.some((stage) => stage === name)) return failed;
  const models = [...new Set(failed.map(({ data }) => findJobModel(data)))];
  const decidedAt = new Map<string, number>();
  await forEachAtOnce(models, REQUESTS_AT_ONCE, async (model) => {
    // If Postgres is away, other findings say so.
    const latest = await database.readLatestDecision(model).catch(() => null);
    decidedAt.set(model, latest?.takenAt ?? 0);
  });
  return failed.filter(({ data, finishedOn = 0 }) => (decidedAt.get(findJobModel(data)) ?? 0) <= finishedOn);
}

function describePaused({ name, isPaused }: QueueState, config: Config): Finding[] {
  if (!isPaused) return [];
  const effect = name === NOTIFICATIONS ? "no notification is sent" : "its jobs wait";
  return [warning(`The queue ${name} is paused, so ${effect}`, `Press Resume: ${boardOf(config, name)}`)];
}

function describeWait({ name, isPaused, waitMs }: QueueState, config: Config): Finding[] {
  if (isPaused || waitMs < LONG_WAIT_MS) return [];
  return [
    warning(
      `A job of ${name} has waited for ${describeSpan(waitMs)} although workers run: they are busy or stuck`,
      `Look at the active jobs, start another worker, or restart them: ${boardOf(config, name)}`,
    ),
  ];
}

function describeFailed({ name, failedCount, failed }: QueueState, config: Config, now: number): Finding[] {
  const own = failed.filter((job) => config.models.has(findJobModel(job.data)) || name === NOTIFICATIONS);
  return [
    ...own.slice(0, SHOWN_JOBS).map((job) => {
      const age = describeSpan(now - (job.finishedOn ?? now));
      const text = `its ${name} job failed for good ${age} ago: ${shorten(job.failedReason)}`;
      const remedy = `Fix the cause, then press Retry: ${boardOf(config, name, job.id)}`;
      return about(findJobModel(job.data), warning(text, remedy), `a job of ${name} failed for good`);
    }),
    ...(failed.length > SHOWN_JOBS || failedCount > READ_JOBS
      ? [
          warning(
            `${formatCount(failedCount)} jobs of ${name} have failed for good`,
            `Retry or remove them: ${boardOf(config, name)}?status=failed`,
          ),
        ]
      : []),
  ];
}

/** The first line of a reason, as far as it fits. */
function shorten(reason: string): string {
  const [line = ""] = reason.split("\n");
  const plain = toPlain(line);
  return plain.length > LONGEST_REASON ? `${plain.slice(0, LONGEST_REASON)}…` : plain;
}
