/** What a stage hands on: its result for the next stage, and what it tells in the job's log. */
export interface StageOutput<T> {
  result: T;
  log: string;
}
