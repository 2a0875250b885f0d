import type { ModelConfig } from "../src/config/config.ts";
import { TransientError } from "../src/core/errors.ts";
import { type GatheredEvidence, READING_LIMIT_MS } from "../src/postgres/evidence.ts";
import { createSlots } from "../src/process/slots.ts";

/** A model is slow if reading its evidence takes longer. Counting ten million ratings takes about two seconds. */
export const QUICK_LIMIT_MS = 2_000;

/**
 * How many slow models are read at once in this process. Each occupies a connection and one of the gather worker's 8 jobs:
 * at least 5 are left for quick models, and 2 of the pool's 10 connections for everything else.
 */
export const SLOW_SLOTS = 3;

export type Reading = ({ outcome: "read" } & GatheredEvidence) | { outcome: "no_slot" };

export interface EvidenceReaderDependencies {
  /** @throws TransientError READING_TOO_SLOW if Postgres cancelled the query at its limit. */
  gatherEvidence(model: string, config: ModelConfig, limitMs: number): Promise<GatheredEvidence>;
  /** Milliseconds, monotonic. */
  now(): number;
}

/**
 * Reads evidence so that models with a slow database do not delay the others. A query may take two seconds. A model that
 * exceeds that counts as slow until one of its queries is quick again. A slow model gets the full limit, but needs one of a
 * few slots: if none is free, the result is "no_slot", and the caller tries again later. Each process learns which models are
 * slow from one short query each.
 */
export function createEvidenceReader({ gatherEvidence, now }: EvidenceReaderDependencies) {
  const slowModels = new Set<string>();
  const slots = createSlots(SLOW_SLOTS);

  async function readSlowly(model: string, config: ModelConfig): Promise<Reading> {
    const release = slots.take();
    if (release === null) return { outcome: "no_slot" };
    const startedAt = now();
    try {
      const gathered = await gatherEvidence(model, config, READING_LIMIT_MS);
      if (now() - startedAt < QUICK_LIMIT_MS) slowModels.delete(model);
      return { outcome: "read", ...gathered };
    } finally {
      release();
    }
  }

  return async (model: string, config: ModelConfig): Promise<Reading> => {
    if (slowModels.has(model)) return readSlowly(model, config);
    try {
      return { outcome: "read", ...(await gatherEvidence(model, config, QUICK_LIMIT_MS)) };
    } catch (error) {
      if (!(error instanceof TransientError) || error.code !== "READING_TOO_SLOW") throw error;
      slowModels.add(model);
      return readSlowly(model, config);
    }
  };
}
