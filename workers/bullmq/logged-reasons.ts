/** The last reason that was logged about each job, so that a job that is retried again and again logs a reason once. */
export interface LoggedReasons {
  /** Records a reason. Returns `level` if it differs from the last one under this key, or else "debug". */
  levelFor<Level extends "info" | "warn">(key: string, reason: string, level: Level): Level | "debug";
}

/** Enough for the jobs that wait or fail at once. Of those forgotten, a reason may be logged a second time. */
const MOST_JOBS = 1_000;

export function createLoggedReasons(): LoggedReasons {
  const last = new Map<string, string>();
  return {
    levelFor(key, reason, level) {
      const isNew = last.get(key) !== reason;
      // Written again, so that the oldest comes first.
      last.delete(key);
      last.set(key, reason);
      const [oldest] = last.keys();
      if (last.size > MOST_JOBS && oldest !== undefined) last.delete(oldest);
      return isNew ? level : "debug";
    },
  };
}
