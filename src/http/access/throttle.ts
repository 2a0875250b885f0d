import { ipKeyGenerator, MemoryStore } from "express-rate-limit";

const WINDOW_MS = 60_000;

/** Counts what an address does within a minute. */
export interface Throttle {
  /** Counts once more, and returns whether that is too often. */
  isTooOften(address: string): Promise<boolean>;
}

export function createThrottle(limit: number): Throttle {
  const store = new MemoryStore();
  store.init({ windowMs: WINDOW_MS } as Parameters<MemoryStore["init"]>[0]);
  return {
    async isTooOften(address) {
      const { totalHits } = await store.increment(ipKeyGenerator(address));
      return totalHits > limit;
    },
  };
}
