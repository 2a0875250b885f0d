import type { Stage } from "../../queues/names.ts";

/**
 * Results that the next stage of the same run may take in this process, without reading them from Redis. It only saves work: a
 * result that is not here is read from Redis, where it is as well.
 */
export interface HandOver {
  /** Keeps the result of a stage for a few seconds, unless too many wait already. */
  offer(runId: string, stage: Stage, result: object): void;
  /** Takes the result of a stage, at most once. */
  take(runId: string, stage: Stage): object | undefined;
}

/** The evidence of hundreds of alerts takes some 100 KB. */
const MAX_RESULTS = 64;
const KEPT_MS = 5_000;

/** @param now Milliseconds, monotonic. */
export function createHandOver(now: () => number = () => performance.now()): HandOver {
  // In the order in which they expire.
  const waiting = new Map<string, { result: object; expiresAt: number }>();
  const keyOf = (runId: string, stage: Stage): string => `${stage} ${runId}`;

  /** Another process may have taken the next stage. */
  function dropExpired(): void {
    for (const [key, { expiresAt }] of waiting) {
      if (expiresAt > now()) return;
      waiting.delete(key);
    }
  }

  return {
    offer(runId, stage, result) {
      dropExpired();
      if (waiting.size < MAX_RESULTS)
        waiting.set(keyOf(runId, stage), { result, expiresAt: now() + KEPT_MS });
    },
    take(runId, stage) {
      const key = keyOf(runId, stage);
      const offered = waiting.get(key);
      waiting.delete(key);
      return offered && offered.expiresAt > now() ? offered.result : undefined;
    },
  };
}
