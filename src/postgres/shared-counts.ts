import { needsArrivals } from "../core/policy.ts";
import { type JudgedSources, locateParts } from "./source-tables.ts";

/** Counting in less time gains nothing by being shared, and a second statement costs a round trip. */
const SLOW_COUNT_MS = 250;
/** A reading may be slow although its count is quick. For so long that is not tried again. */
const QUICK_MS = 3_600_000;

/** Which counts are worth sharing, as this process has learnt. */
export interface SharedCounts {
  /** Identifies a count that models may share; null if what a model counts depends on its own trainings, or is elsewhere. */
  keyOf(config: JudgedSources): string | null;
  /** Learns how long a reading with that count took, or, if it was shared, the count alone. */
  learn(key: string, reading: { model: string; elapsedMs: number; isCountAlone: boolean }): void;
  /** Whether the count is slow, and several models use it. */
  isShared(key: string, model: string): boolean;
  /** Returns the result of a count that begins now or later, so that it sees all that the caller has seen. */
  join<T>(key: string, count: () => Promise<T>): Promise<T>;
}

/**
 * Lets models that read the same table share a slow count. Those that come while it is counted do not get that count, which may
 * have begun before the events that they have to cover; they wait for the next one together.
 */
export function createSharedCounts(now: () => number = () => performance.now()): SharedCounts {
  const keys = new WeakMap<JudgedSources, string | null>();
  const slow = new Map<string, Set<string>>();
  const quickUntil = new Map<string, number>();
  const running = new Map<string, Promise<unknown>>();
  const next = new Map<string, Promise<unknown>>();

  function begin<T>(key: string, count: () => Promise<T>): Promise<T> {
    const result = count();
    running.set(key, result);
    const end = (): void => {
      if (running.get(key) === result) running.delete(key);
    };
    result.then(end, end);
    return result;
  }

  return {
    keyOf(config) {
      const known = keys.get(config);
      if (known !== undefined) return known;
      const key = describeCount(config);
      keys.set(config, key);
      return key;
    },
    learn(key, { model, elapsedMs, isCountAlone }) {
      const isSlow = elapsedMs >= SLOW_COUNT_MS;
      if (isSlow && now() >= (quickUntil.get(key) ?? 0))
        slow.set(key, (slow.get(key) ?? new Set()).add(model));
      if (isSlow) return;
      slow.delete(key);
      if (isCountAlone) quickUntil.set(key, now() + QUICK_MS);
    },
    isShared(key, model) {
      const models = slow.get(key);
      return models !== undefined && (models.size > 1 || !models.has(model));
    },
    join<T>(key: string, count: () => Promise<T>): Promise<T> {
      const current = running.get(key);
      if (!current) return begin(key, count);
      const waiting = next.get(key) as Promise<T> | undefined;
      if (waiting) return waiting;
      const start = (): Promise<T> => {
        next.delete(key);
        return begin(key, count);
      };
      const following = current.then(start, start);
      next.set(key, following);
      return following;
    },
  };
}

function describeCount({ source, policy, shadowToo }: JudgedSources): string | null {
  const { buffer } = source;
  const isCountedByRow = [policy, shadowToo].some((each) => each && needsArrivals(each));
  if (buffer.kind !== "table" || buffer.since !== null || isCountedByRow) return null;
  if (!locateParts(source).own.includes("buffer")) return null;
  return JSON.stringify([buffer.table, buffer.columns, buffer.where]);
}
