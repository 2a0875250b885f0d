import type { Evidence } from "../../src/core/evidence.ts";
import type { Stage } from "../../queues/names.ts";

/**
 * Results that the next stage of the same run may take in this process, without reading them from Redis. It only saves work: a
 * result that is not here is read from Redis, where it is as well.
 */
export interface HandOver {
  /** Keeps the result of a stage for half a minute, unless it is large or too many wait already. */
  offer(runId: string, stage: Stage, result: { evidence?: Pick<Evidence, "weighed"> }): void;
  /** Takes the result of a stage, at most once. */
  take(runId: string, stage: Stage): object | undefined;
}

/** Of a few KB each. */
const MAX_RESULTS = 1_000;
/** Results with more checks, of up to some 100 KB, are left to Redis. */
const MAX_CHECKS = 100;
const KEPT_MS = 30_000;

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
      if ((result.evidence?.weighed?.length ?? 0) > MAX_CHECKS) return;
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
