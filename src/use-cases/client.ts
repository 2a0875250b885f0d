import { setTimeout as pause } from "node:timers/promises";
import type { Job, Queue } from "bullmq";
import { Abandoned, describeAbandoned } from "../../queues/abandoned.ts";
import { IntakeResult, TrainingReport } from "../../queues/jobs.ts";
import { INBOX, type QueueName, type Stage, STAGES, TRAINING } from "../../queues/names.ts";
import { JOB_OPTIONS } from "../../queues/options.ts";
import { resumeTraining } from "../../queues/training.ts";
import type { Config } from "../config/config.ts";
import { isTerminal } from "../core/dispatch/dispatch.ts";
import { PermanentError, TransientError } from "../core/errors.ts";
import { DecisionSummary } from "../core/report/decision-summary.ts";
import type { Logger } from "../process/logger.ts";
import { createServerState } from "../process/server-state.ts";
import { connectRedis } from "../redis/connection.ts";
import { boardOf } from "../outgoing/page-links.ts";
import { openQueue } from "../redis/open-queue.ts";
import { watchObstacles, describeObstacle, type ObstacleWatch } from "./obstacle.ts";

const POLL_MS = 50;

/** A completed stage, reported while the caller waits. */
export interface StageProgress {
  stage: Stage;
  durationMs: number;
}

/** A producer outside the workers: it puts requests on the inbox and follows them to their decision. */
export interface Client {
  inbox: Queue;
  /** Adds a job to the inbox and returns its id. */
  send(name: string, data: object): Promise<string>;
  /**
   * Waits until the request is decided, through follow-ups if it was folded or superseded.
   * @throws PermanentError if the job or a stage failed or was removed, TransientError on timeout.
   */
  waitForDecision(
    jobId: string,
    options: {
      limitMs: number;
      onStage?: (progress: StageProgress) => void;
      /** Called with the reason when a stage has to wait. */
      onWait?: (why: string) => void;
    },
  ): Promise<DecisionSummary>;
  /** What keeps the next job of a request from being taken, such as a paused queue; null if nothing does. */
  explainWait(jobId: string): Promise<string | null>;
  /** Follows a training to its end, and reports each change on the way. @throws TransientError on timeout. */
  waitForTraining(
    runId: string,
    options: { limitMs: number; onProgress?: (report: TrainingReport) => void },
  ): Promise<TrainingReport>;
  /** Runs the job of a training now: it requests a reopened dispatch, and polls any other one. */
  resumeTraining(run: { runId: string; model: string }): Promise<void>;
  close(): Promise<void>;
}

export function createClient(config: Config, log: Logger): Client {
  const redis = connectRedis(config, createServerState("Redis", log), { failFast: false });
  const options = { connection: redis, prefix: config.redisPrefix };
  const queues = ([INBOX, ...STAGES, TRAINING] as const).map((name) => openQueue(name, options, log));
  return {
    ...createRequester(queues, (queue) => boardOf(config, queue)),
    async close() {
      await Promise.all(queues.map((queue) => queue.close()));
      redis.disconnect();
    },
  };
}

export type Requester = Omit<Client, "close">;

/**
 * What a client does, on queues that are open: those of the inbox, of all stages and of the trainings.
 *
 * @param findBoard Where Bull Board shows a queue.
 */
export function createRequester(
  queues: readonly Queue[],
  findBoard = (queue: string): string => `/queues/queue/${queue}`,
): Requester {
  const find = (name: QueueName): Queue => {
    const queue = queues.find((one) => one.name === name);
    if (!queue) throw new Error(`the queue ${name} is not open`);
    return queue;
  };
  const inbox = find(INBOX);
  const stages = STAGES.map(find);
  const training = find(TRAINING);

  async function waitForIntake(jobId: string, deadline: number, watch: ObstacleWatch): Promise<IntakeResult> {
    for (; ; await pause(POLL_MS)) {
      const job = await inbox.getJob(jobId);
      if (job?.finishedOn !== undefined) return IntakeResult.parse(finishedValue(job, "The request"));
      const why = await watch.explain(inbox);
      checkDeadline(deadline, why ?? "the workers have not taken the request. See: npx retrigger doctor");
    }
  }

  async function waitForRun(
    runId: string,
    deadline: number,
    onStage: (progress: StageProgress) => void,
    onWait: (why: string) => void,
    watch: ObstacleWatch,
  ): Promise<DecisionSummary> {
    let value: unknown;
    let reported = "";
    for (const stage of STAGES) {
      const queue = find(stage);
      for (; ; await pause(POLL_MS)) {
        const job = await queue.getJob(runId);
        if (job?.finishedOn !== undefined && job.processedOn !== undefined) {
          value = finishedValue(job, `Stage ${stage} of run ${runId}`);
          checkAbandoned(runId, value);
          onStage({ stage, durationMs: job.finishedOn - job.processedOn });
          break;
        }
        const why = job?.delay ? ((await queue.getJobLogs(runId, -1, -1)).logs[0] ?? "") : "";
        if (why !== "" && why !== reported) onWait(why);
        reported = why;
        // The job of this stage may be the one that was removed.
        if (job === undefined) checkAbandoned(runId, (await stages.at(-1)?.getJob(runId))?.returnvalue);
        const obstacle = job === undefined ? null : await watch.explain(queue);
        checkDeadline(
          deadline,
          obstacle ?? `run ${runId} is still waiting at ${stage}. See Bull Board, or: npx retrigger doctor`,
        );
      }
    }
    return DecisionSummary.parse(value);
  }

  async function waitForTraining(
    runId: string,
    deadline: number,
    onProgress: (report: TrainingReport) => void,
  ): Promise<TrainingReport> {
    let reported = "";
    for (; ; await pause(4 * POLL_MS)) {
      const job = await training.getJob(runId);
      const progress = TrainingReport.safeParse(job?.returnvalue ?? job?.progress);
      if (progress.success && JSON.stringify(progress.data) !== reported) {
        reported = JSON.stringify(progress.data);
        onProgress(progress.data);
      }
      if (progress.success && (isTerminal(progress.data.state) || job?.finishedOn !== undefined))
        return progress.data;
      if (job?.finishedOn !== undefined) finishedValue(job, `The training of run ${runId}`);
      checkDeadline(
        deadline,
        `the training of run ${runId} has not ended. See Bull Board, or: npx retrigger history`,
      );
    }
  }

  return {
    inbox,
    waitForTraining: (runId, { limitMs, onProgress = () => {} }) =>
      waitForTraining(runId, Date.now() + limitMs, onProgress),
    resumeTraining: (run) => resumeTraining([...stages, training], run),
    async send(name, data) {
      const job = await inbox.add(name, data, JOB_OPTIONS);
      return job.id ?? "";
    },
    async explainWait(jobId) {
      const intake = await inbox.getJob(jobId);
      const { success, data } = IntakeResult.safeParse(intake?.returnvalue);
      let runId = success && "runId" in data ? data.runId : null;
      let [job, queue] = [intake, inbox];
      while (runId !== null && job?.finishedOn !== undefined) {
        // A follow-up that is yet to start waits in the inbox.
        [job, queue] = (await findStage(stages, runId)) ?? [undefined, inbox];
        runId = DecisionSummary.safeParse(job?.returnvalue).data?.supersededBy ?? null;
      }
      const isTaken = job !== undefined && (job.finishedOn !== undefined || (await job.isActive()));
      return isTaken ? null : describeObstacle(queue, findBoard);
    },
    async waitForDecision(jobId, { limitMs, onStage = () => {}, onWait = () => {} }) {
      const deadline = Date.now() + limitMs;
      const watch = watchObstacles({ onWait, findBoard });
      const intake = await waitForIntake(jobId, deadline, watch);
      let runId = "runId" in intake ? intake.runId : null;
      if (runId === null)
        throw new PermanentError(
          "NO_DECISION",
          "The drift run failed, so the event is recorded and nothing is decided",
        );
      for (;;) {
        const summary = await waitForRun(runId, deadline, onStage, onWait, watch);
        if (summary.supersededBy === undefined) return summary;
        runId = summary.supersededBy;
      }
    },
  };
}

/** The stage at which a run is: the first that has not ended, or else the last. Null if it has not started. */
async function findStage(stages: readonly Queue[], runId: string): Promise<[Job, Queue] | null> {
  let found: [Job, Queue] | null = null;
  for (const queue of stages) {
    const job: Job | undefined = await queue.getJob(runId);
    if (job === undefined) break;
    found = [job, queue];
    if (job.finishedOn === undefined) break;
  }
  return found;
}

function finishedValue(job: Job, what: string): unknown {
  const value: unknown = job.returnvalue;
  if (typeof value === "object" && value !== null) return value;
  throw new PermanentError(
    "FAILED",
    `${what} failed: ${job.failedReason}. Fix the cause, then retry the job in Bull Board`,
  );
}

function checkAbandoned(runId: string, value: unknown): void {
  const abandoned = Abandoned.safeParse(value);
  if (abandoned.success) throw new PermanentError("ABANDONED", describeAbandoned(runId, abandoned.data));
}

function checkDeadline(deadline: number, message: string): void {
  if (Date.now() >= deadline) throw new TransientError("TIMEOUT", `Timed out: ${message}`);
}
