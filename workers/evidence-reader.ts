import type { ModelConfig } from "../src/config/config.ts";
import type { Evidence } from "../src/core/evidence.ts";
import { TransientError } from "../src/core/errors.ts";
import { createSlots } from "./slots.ts";

/** A model whose reading takes longer is slow. Counting ten million ratings takes about two seconds. */
export const QUICK_LIMIT_MS = 2_000;

/** A reading that takes longer is given up. */
export const SLOW_LIMIT_MS = 115_000;

/**
 * How many slow readings run at once in this process. Each occupies a connection and one of the gather worker's 8 places:
 * at least 5 are left for quick readings, and 2 of the pool's 10 connections for everything else.
 */
export const SLOW_READINGS = 3;

export type Reading = { outcome: "read"; evidence: Evidence } | { outcome: "no_slot" };

export interface ReadingDependencies {
  /** @throws TransientError READING_TOO_SLOW if Postgres cancelled the query at its limit. */
  fetchEvidence(model: string, config: ModelConfig, limitMs: number): Promise<Evidence>;
  /** Milliseconds, monotonic. */
  now(): number;
}

/**
 * Reads evidence so that models with a slow database do not delay the others. A reading may take two seconds. A model that
 * exceeds that is slow until one of its readings is quick again: it reads in one of a few slots, with the full limit, or
 * gets "no_slot" and has to come back later. Which models are slow, each process finds out for itself, with one short
 * reading of each.
 */
export function createReadings({ fetchEvidence, now }: ReadingDependencies) {
  const slowModels = new Set<string>();
  const slots = createSlots(SLOW_READINGS);

  async function readSlowly(model: string, config: ModelConfig): Promise<Reading> {
    const release = slots.take();
    if (release === null) return { outcome: "no_slot" };
    const startedAt = now();
    try {
      const evidence = await fetchEvidence(model, config, SLOW_LIMIT_MS);
      if (now() - startedAt < QUICK_LIMIT_MS) slowModels.delete(model);
      return { outcome: "read", evidence };
    } finally {
      release();
    }
  }

  return async (model: string, config: ModelConfig): Promise<Reading> => {
    if (slowModels.has(model)) return readSlowly(model, config);
    try {
      return { outcome: "read", evidence: await fetchEvidence(model, config, QUICK_LIMIT_MS) };
    } catch (error) {
      if (!(error instanceof TransientError) || error.code !== "READING_TOO_SLOW") throw error;
      slowModels.add(model);
      return readSlowly(model, config);
    }
  };
}
