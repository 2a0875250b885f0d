import type { Job } from "bullmq";
import type { StageJob } from "../../queues/jobs.ts";
import type { Stage } from "../../queues/names.ts";
import { toTimestampMs } from "../../queues/run-id.ts";
import type { Logger } from "../../src/process/logger.ts";
import type { StageLine, StagePause } from "../stage.ts";
import type { LoggedReasons } from "./logged-reasons.ts";

/** What the process's log says about runs: one line when a run ends, and each reason for a wait once. */
export interface RunLog {
  /** @param line What the run came to; absent if its next stage goes on. */
  completed(data: StageJob, stage: Stage, job: Job, durationMs: number, line?: StageLine): void;
  waits(data: StageJob, stage: Stage, pause: StagePause): void;
}

/** Enough for the runs that one process works on at once; of those forgotten, the line lacks some stages. */
const MOST_RUNS = 256;

export function createRunLog(log: Logger, reasons: LoggedReasons): RunLog {
  /** How long the stages took that ran in this process. */
  const times = new Map<string, Partial<Record<Stage, number>>>();

  function keepTime(runId: string, stage: Stage, durationMs: number): void {
    times.set(runId, { ...times.get(runId), [stage]: durationMs });
    const [oldest] = times.keys();
    if (times.size > MOST_RUNS && oldest !== undefined) times.delete(oldest);
  }

  return {
    completed(data, stage, job, durationMs, line) {
      const { runId, model, cause } = data;
      keepTime(runId, stage, durationMs);
      log.debug({ runId, model, stage, durationMs }, "stage completed");
      if (line === undefined) return;
      const stagesMs = times.get(runId);
      times.delete(runId);
      const tookMs = Date.now() - findBeginning(data, job);
      log.info({ model, ...line.fields, cause, durationMs: tookMs, stagesMs, runId }, line.message);
    },
    waits({ runId, model }, stage, { pauseMs, why }) {
      const level = reasons.levelFor(`${stage} ${runId}`, why, "info");
      log[level]({ model, stage, why, pauseMs, runId }, "run waits");
    },
  };
}

/**
 * When a run began, Unix milliseconds: when it was requested, which the run's id says. A follow-up and a schedule are put on the
 * inbox long before they are due, so theirs begins with the chain.
 */
function findBeginning({ runId, cause }: StageJob, { timestamp }: Job): number {
  return cause === "event" || cause === "manual" ? Math.min(toTimestampMs(runId), timestamp) : timestamp;
}
