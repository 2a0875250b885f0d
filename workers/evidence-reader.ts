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

/** How long a shadow policy is left out whose evidence took too long to read. */
export const SHADOW_PAUSE_MS = 3_600_000;

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
 *
 * A shadow policy that makes even the full limit too short is left out for an hour, or until a reload replaces the settings: it
 * must not delay every decision.
 */
export function createEvidenceReader({ gatherEvidence, now }: EvidenceReaderDependencies) {
  const slowModels = new Set<string>();
  const slots = createSlots(SLOW_SLOTS);
  const pauses = new WeakMap<ModelConfig, { endsAt: number; withoutShadow: ModelConfig }>();

  async function gather(model: string, config: ModelConfig, limitMs: number): Promise<GatheredEvidence> {
    const pause = pauses.get(config);
    if (pause && now() < pause.endsAt) {
      const gathered = await gatherEvidence(model, pause.withoutShadow, limitMs);
      return { ...gathered, shadowProblem: describePause(pause.endsAt - now()) };
    }
    const gathered = await gatherEvidence(model, config, limitMs);
    if (gathered.shadowProblem?.code !== TOO_SLOW) return gathered;
    // Statements are kept by the object, so it must stay the same.
    const withoutShadow = pause?.withoutShadow ?? { ...config, shadow: null };
    pauses.set(config, { endsAt: now() + SHADOW_PAUSE_MS, withoutShadow });
    return { ...gathered, shadowProblem: describePause(SHADOW_PAUSE_MS) };
  }

  async function readSlowly(model: string, config: ModelConfig): Promise<Reading> {
    const release = slots.take();
    if (release === null) return { outcome: "no_slot" };
    const startedAt = now();
    try {
      const gathered = await gather(model, config, READING_LIMIT_MS);
      if (now() - startedAt < QUICK_LIMIT_MS) slowModels.delete(model);
      return { outcome: "read", ...gathered };
    } finally {
      release();
    }
  }

  return async (model: string, config: ModelConfig): Promise<Reading> => {
    if (slowModels.has(model)) return readSlowly(model, config);
    try {
      return { outcome: "read", ...(await gather(model, config, QUICK_LIMIT_MS)) };
    } catch (error) {
      if (!(error instanceof TransientError) || error.code !== TOO_SLOW) throw error;
      slowModels.add(model);
      return readSlowly(model, config);
    }
  };
}

const TOO_SLOW = "READING_TOO_SLOW";

function describePause(remainingMs: number): TransientError {
  const minutes = Math.max(1, Math.ceil(remainingMs / 60_000));
  return new TransientError(
    TOO_SLOW,
    `reading the evidence for it took more than ${READING_LIMIT_MS / 1000} s. It is left out for another ${minutes} min, or until the settings are reloaded`,
  );
}
