/** What a stage hands on: its result for the next stage, and what it tells in the job's log. */
export interface StageOutput<T> {
  result: T;
  log: string;
  /** The decision is told, or will not be made: the model is free for the next run. */
  endsRun?: boolean;
}
