import { setTimeout as pause } from "node:timers/promises";
import { stateOfTraining } from "../src/core/training.ts";
import { TransientError } from "../src/errors.ts";
import type { RunOptions } from "../src/trainers/trainer.ts";
import type { TrainingJob } from "../queues/jobs.ts";
import { follow } from "./follow-training.ts";
import { end, lookOnceMore, record } from "./training-end.ts";
import {
  later,
  type Look,
  pollMs,
  toAsked,
  toReport,
  type TrainingDependencies,
  type TrainingStep,
  unchanged,
} from "./training-look.ts";

/**
 * Looks once how a training stands, writes down what is new, and says when to look again. At its end it says so; a training
 * that failed keeps its alerts for a while, is then looked at once more (somebody may have run it again), and is followed
 * by a run that looks at the model again.
 */
export function createTraining(dependencies: TrainingDependencies) {
  const { trainer, database } = dependencies;
  return async (job: TrainingJob, options: RunOptions): Promise<TrainingStep> => {
    const dispatch = await database.readDispatch(job.runId);
    const { remote } = trainer;
    // A training of another trainer's is left to its settings.
    if (!dispatch || !remote || dispatch.trainer !== trainer.name)
      return { outcome: "ended", report: toReport(dispatch) };
    const look: Look = { ...dependencies, remote, dispatch, job, say: options.say };
    switch (dispatch.state) {
      case "pending":
        // It is being asked for; whoever does so comes back here.
        return later(look, pollMs(look));
      case "rejected":
        return { outcome: "ended", report: toReport(dispatch) };
      case "sent":
      case "running":
        return remote.run ? runHere(look, options) : follow(look);
      case "unknown":
        return follow(look);
      case "succeeded":
        return end(look);
      case "failed":
      case "cancelled":
        return dispatch.endedAgoMs === null
          ? { outcome: "ended", report: toReport(dispatch) }
          : lookOnceMore(look);
      default:
        return dispatch.state satisfies never;
    }
  };
}

/** Runs it in this process, once: a worker that went while it ran took the training with it. */
async function runHere(look: Look, options: RunOptions): Promise<TrainingStep> {
  const { remote, database, dispatch, job } = look;
  if (!remote.run || !(await database.claimRun(job.runId))) {
    const error = "The worker that ran it is gone, and the training with it";
    return record(look, { ...unchanged(dispatch), state: "failed", conclusion: "lost", error });
  }
  const { conclusion, message: error, durationSeconds } = await remote.run(toAsked(dispatch), options);
  const state = stateOfTraining("completed", conclusion);
  const ending = { state, status: "completed", conclusion, durationSeconds, error };
  return untilWritten(() => record(look, { ...unchanged(dispatch), ...ending }), options.signal);
}

const PAUSE_MS = 2_000;

/** How a program ended is known here alone: while Postgres is away, this process keeps it, unless it has to end itself. */
async function untilWritten<T>(write: () => Promise<T>, signal: AbortSignal): Promise<T> {
  for (;;) {
    try {
      return await write();
    } catch (error) {
      if (signal.aborted || !(error instanceof TransientError)) throw error;
      await pause(PAUSE_MS);
    }
  }
}
