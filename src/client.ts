import { setTimeout as pause } from "node:timers/promises";
import type { Job, Queue } from "bullmq";
import { DecisionSummary, IntakeResult } from "../queues/jobs.ts";
import { INBOX, STAGES, type Stage } from "../queues/names.ts";
import { INBOX_JOB_OPTIONS } from "../queues/options.ts";
import type { Config } from "./config.ts";
import { PermanentError, TransientError } from "./errors.ts";
import type { Logger } from "./logger.ts";
import { connectRedis } from "./redis/connection.ts";
import { openQueue } from "./redis/open-queue.ts";
import { createServerState } from "./server-state.ts";

const POLL_MS = 50;

/** A stage that has ended, as it is told while one waits. */
export interface StageProgress {
  stage: Stage;
  durationMs: number;
}

/** What a producer outside the workers does: put requests on the inbox, and follow them to their decision. */
export interface Client {
  inbox: Queue;
  /** Adds a job to the inbox and answers its id. */
  send(name: string, data: object): Promise<string>;
  /**
   * Waits until the request is decided, through follow-ups where it was folded or superseded.
   * @throws PermanentError where the job or a stage failed, TransientError where the time is up.
   */
  waitForDecision(
    jobId: string,
    options: { limitMs: number; onStage?: (progress: StageProgress) => void },
  ): Promise<DecisionSummary>;
  close(): Promise<void>;
}

export function createClient(config: Config, log: Logger): Client {
  const redis = connectRedis(config.redisUrl, createServerState("Redis", log), { failFast: false });
  const options = { connection: redis, prefix: config.redisPrefix };
  const inbox = openQueue(INBOX, options, log);
  const stages = STAGES.map((stage) => openQueue(stage, options, log));

  async function waitForIntake(jobId: string, deadline: number): Promise<IntakeResult> {
    for (; ; await pause(POLL_MS)) {
      const job = await inbox.getJob(jobId);
      if (job?.finishedOn !== undefined) return IntakeResult.parse(finishedValue(job, "The request"));
      checkDeadline(deadline, "the inbox did not take the request in time. Is a worker running? npm start");
    }
  }

  async function waitForRun(
    runId: string,
    deadline: number,
    onStage: (progress: StageProgress) => void,
  ): Promise<DecisionSummary> {
    let value: unknown;
    for (const [index, stage] of STAGES.entries()) {
      for (; ; await pause(POLL_MS)) {
        const job = await stages[index]?.getJob(runId);
        if (job?.finishedOn !== undefined && job.processedOn !== undefined) {
          value = finishedValue(job, `Stage ${stage} of run ${runId}`);
          onStage({ stage, durationMs: job.finishedOn - job.processedOn });
          break;
        }
        checkDeadline(
          deadline,
          `run ${runId} did not end in time; it waits at ${stage}. See Bull Board, or: npx retrigger doctor`,
        );
      }
    }
    return DecisionSummary.parse(value);
  }

  return {
    inbox,
    async send(name, data) {
      const job = await inbox.add(name, data, INBOX_JOB_OPTIONS);
      return job.id ?? "";
    },
    async waitForDecision(jobId, { limitMs, onStage = () => {} }) {
      const deadline = Date.now() + limitMs;
      const intake = await waitForIntake(jobId, deadline);
      let runId = "runId" in intake ? intake.runId : null;
      if (runId === null)
        throw new PermanentError("NO_DECISION", "The drift run failed: it is recorded, and decides nothing");
      for (;;) {
        const summary = await waitForRun(runId, deadline, onStage);
        if (summary.supersededBy === undefined) return summary;
        runId = summary.supersededBy;
      }
    },
    async close() {
      await Promise.all([inbox, ...stages].map((queue) => queue.close()));
      redis.disconnect();
    },
  };
}

function finishedValue(job: Job, what: string): unknown {
  const value: unknown = job.returnvalue;
  if (typeof value === "object" && value !== null) return value;
  throw new PermanentError(
    "FAILED",
    `${what} failed: ${job.failedReason}. After the mend, retry it in Bull Board`,
  );
}

function checkDeadline(deadline: number, message: string): void {
  if (Date.now() > deadline) throw new TransientError("TIMEOUT", `Time is up: ${message}`);
}
