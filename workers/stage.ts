/** What a stage returns. */
export interface StageOutput<T> {
  kind: "done";
  result: T;
  /** What the result does not say; Bull Board shows the result itself as text (`src/use-cases/stage-log.ts`). */
  log?: string;
  /** What the run came to, for the process's log; absent if its next stage goes on. */
  line?: StageLine;
  /** The decision is reported or will not be made, so the model is free for the next run. */
  endsRun?: boolean;
}

/** A line of the process's log: what people want to see of a run. */
export interface StageLine {
  message: string;
  fields: object;
}

/** What a stage returns if it has to wait for another system: it runs again after the pause. */
export interface StagePause {
  kind: "pause";
  pauseMs: number;
  /** The same text for as long as the reason stays the same. */
  why: string;
  log: string;
  /** The run has not recorded its decision yet, so it keeps the lock: events that arrive meanwhile fold into a follow-up. */
  keepsLock?: boolean;
}

/** What the act stage must know about a manual retry. */
export interface ManualRetry {
  /** Whether a refused request was already reopened since the stage last completed. */
  wasReopened: boolean;
  markReopened(): Promise<void>;
}
