/** What a stage hands on: its result for the next stage, and what it tells in the job's log. */
export interface StageOutput<T> {
  result: T;
  log: string;
  /** The decision is told, or will not be made: the model is free for the next run. */
  endsRun?: boolean;
}

/** What a stage that has to wait for somebody else says instead: it is run again after the pause. */
export interface StagePause {
  pauseMs: number;
  log: string;
  /** The run has not recorded its decision yet, so it keeps the model: events that come meanwhile fold into a follow-up. */
  keepsLock?: boolean;
}

/** What a stage is told of its own job. */
export interface StageContext {
  /** Whether it came to its end before, and a person runs it again. */
  isPersonsWord: boolean;
}
