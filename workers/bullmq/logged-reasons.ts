/** Tells what was logged about a job from what is new, so that a job that is tried again and again logs each reason once. */
export interface LoggedReasons {
  /** Whether this is another text than the last one about the job. */
  isNew(key: string, text: string): boolean;
}

/** Enough for the jobs that wait or fail at once. Of those forgotten, a reason may be logged a second time. */
const MOST_JOBS = 1_000;

export function createLoggedReasons(): LoggedReasons {
  const last = new Map<string, string>();
  return {
    isNew(key, text) {
      const isNew = last.get(key) !== text;
      // Written again, so that the oldest comes first.
      last.delete(key);
      last.set(key, text);
      const [oldest] = last.keys();
      if (last.size > MOST_JOBS && oldest !== undefined) last.delete(oldest);
      return isNew;
    },
  };
}
