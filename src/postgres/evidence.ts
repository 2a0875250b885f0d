import type pg from "pg";
import { PermanentError, TransientError } from "../core/errors.ts";
import type { Evidence } from "../core/evidence.ts";
import { needsOf, type Policy, type PolicyNeeds } from "../core/policy.ts";
import type { Upkeep } from "./counters/upkeep.ts";
import { type EvidenceResult, type Shadowed, toEvidence, toShadowed } from "./evidence-result.ts";
import { buildCount, buildEvidence, type EvidenceReading } from "./evidence-sql.ts";
import { explainPostgresError } from "./explain-error.ts";
import type { Statement } from "./parameters.ts";
import { sendPrepared } from "./prepared.ts";
import { createColumnCache } from "./source-columns.ts";
import { readRemoteEvidence } from "./remote-evidence.ts";
import { createSharedCounts } from "./shared-counts.ts";
import { createSourcePlans } from "./source-plans.ts";
import type { SourcePools } from "./source-pools.ts";
import { type JudgedSources, locateParts, type ModelSources, type SourceTables } from "./source-tables.ts";

export interface EvidenceStoreOptions extends Pick<
  EvidenceReading,
  "flightLimitSeconds" | "evidenceMaxAgeSeconds" | "timeZone"
> {
  pool: pg.Pool;
  /** For messages. */
  databaseUrl: string;
  /** The databases that models have of their own. */
  sourcePools: SourcePools;
  /** Keeps the counters that are read. */
  upkeep: Pick<Upkeep, "see">;
}

/** Counting ten million ratings takes about two seconds. A query that takes longer than this is cancelled. */
export const READING_LIMIT_MS = 115_000;

/** The evidence of a decision, and what its shadow policy sees of it. */
export interface GatheredEvidence {
  evidence: Evidence;
  /** What differs from the evidence for the shadow policy; null without one, or if it cannot be read. */
  seen: Shadowed | null;
  /** Why it cannot be read. */
  shadowProblem: PermanentError | TransientError | null;
}

/** Reads the source tables. */
export function createEvidenceStore({
  pool,
  databaseUrl,
  sourcePools,
  upkeep,
  ...options
}: EvidenceStoreOptions) {
  const columns = createColumnCache(pool);
  const plans = createSourcePlans(columns, databaseUrl);
  const needsOfPolicy = createNeedsCache();
  const withShadow = createShadowCache();
  const sharedCounts = createSharedCounts();
  const inParts = createPartsCache();

  /** @param judged What the statement is built for, and kept with. */
  async function read(
    model: string,
    config: ModelSources,
    judged: JudgedSources,
    limitMs: number,
  ): Promise<EvidenceResult> {
    const { source, policy, trainer, expectDriftRunEveryMs } = config;
    const reading = {
      ...options,
      model,
      needs: needsOfPolicy(policy),
      shadowNeeds: judged.shadowToo ? needsOfPolicy(judged.shadowToo) : null,
      isSinceTraining: source.buffer.since !== null,
      expectsDriftRuns: expectDriftRunEveryMs !== null,
      trainer: trainer.name,
    };
    const { own, remote } = locateParts(source);
    const send = async ({ text, parameters }: Statement): Promise<EvidenceResult> => {
      const { rows } = await sendPrepared(pool, text, parameters, limitMs);
      const result = rows[0]?.["evidence"] as EvidenceResult;
      upkeep.see(result.buffer?.counter ?? null);
      return result;
    };
    const readOwn = (weighed?: unknown[]): Promise<EvidenceResult> =>
      plans.read(
        { model, parts: own, config: judged },
        (tables) => buildEvidence(reading, tables),
        ({ text, parameters }) => {
          const list = weighed
            ? [{ type: "text", value: JSON.stringify(weighed) } as const, ...parameters.slice(1)]
            : parameters;
          return send({ text, parameters: list });
        },
      );
    const key = remote.length === 0 ? sharedCounts.keyOf(judged) : null;
    if (key !== null) {
      if (sharedCounts.isShared(key, model)) return readSharing(key);
      const startedAt = performance.now();
      const result = await readOwn();
      sharedCounts.learn(key, { model, elapsedMs: performance.now() - startedAt, isCountAlone: false });
      return result;
    }
    if (remote.length === 0) return readOwn();
    const parts = { reading, config: judged, parts: remote, limitMs, readOwn };
    return readRemoteEvidence({ pool, pools: sourcePools, ...parts });

    /**
     * Reads everything but the buffer, then joins a shared count that begins afterwards. A training that emptied the buffer in between
     * still appears to be running, and the insert of the decision notices that it has ended.
     */
    async function readSharing(key: string): Promise<EvidenceResult> {
      const { buffer, rest } = inParts(judged);
      const others = own.filter((part) => part !== "buffer");
      const result = await plans.read(
        { model, parts: others, config: rest },
        (tables) => buildEvidence(reading, tables),
        send,
      );
      // A model that is read with a short limit must not wait for a count with a longer one.
      const counted = await sharedCounts.join(`${limitMs} ${key}`, async () => {
        const startedAt = performance.now();
        const statement = (tables: Partial<SourceTables>): Statement => buildCount(reading, tables);
        const found = await plans.read({ model, parts: ["buffer"], config: buffer }, statement, send);
        sharedCounts.learn(key, { model, elapsedMs: performance.now() - startedAt, isCountAlone: true });
        return found;
      });
      const lagMs = Math.max(0, Date.parse(counted.takenAt) - Date.parse(result.takenAt));
      return { ...result, buffer: { ...counted.buffer, lagMs } };
    }
  }

  /**
   * Reads all the evidence for a decision with one statement: one snapshot, one round trip. The database compares
   * all times, on its own clock. The columns of the source tables are looked up before the first time. A source in
   * another database takes two more round trips, and a slow count that several models share takes one.
   *
   * @param limitMs After this long the server cancels a query: TransientError READING_TOO_SLOW.
   * @throws SourceError that names each table or column that is missing, and its place in the settings.
   */
  async function fetchEvidence(
    model: string,
    config: ModelSources,
    limitMs = READING_LIMIT_MS,
  ): Promise<Evidence> {
    const result = await read(model, config, config, limitMs);
    return toEvidence(result, { ...config, needs: needsOfPolicy(config.policy) });
  }

  return {
    fetchEvidence,

    /**
     * The same, and what the model's shadow policy sees, in the same round trip and snapshot. The evidence is what it would be
     * without a shadow. If the sources cannot be read for the shadow, they are read again without it.
     */
    async gatherEvidence(
      model: string,
      config: ModelSources,
      limitMs = READING_LIMIT_MS,
    ): Promise<GatheredEvidence> {
      const { shadow = null, policy, source } = config;
      if (shadow === null)
        return { evidence: await fetchEvidence(model, config, limitMs), seen: null, shadowProblem: null };
      const needs = needsOfPolicy(policy);
      try {
        const result = await read(model, config, withShadow(config, shadow), limitMs);
        return {
          evidence: toEvidence(result, { ...config, needs }),
          seen: toShadowed(result, { needs, shadowNeeds: needsOfPolicy(shadow), source }),
          shadowProblem: null,
        };
      } catch (error) {
        const explained = explainPostgresError(error, databaseUrl);
        if (!isLasting(explained, limitMs)) throw error;
        // If this fails too, the shadow is not the reason.
        const evidence = await fetchEvidence(model, config, limitMs);
        return { evidence, seen: null, shadowProblem: explained };
      }
    },
  };
}

/** Whether a reading would fail again. One that is too slow gets more time first. */
function isLasting(error: Error, limitMs: number): error is PermanentError | TransientError {
  if (error instanceof PermanentError) return true;
  return error instanceof TransientError && error.code === "READING_TOO_SLOW" && limitMs >= READING_LIMIT_MS;
}

/** What statements with a shadow policy are kept with: an object for each model's settings. */
function createShadowCache(): (config: ModelSources, shadow: Policy) => JudgedSources {
  const known = new WeakMap<ModelSources, JudgedSources>();
  return (config, shadowToo) => {
    const judged = known.get(config) ?? { policy: config.policy, source: config.source, shadowToo };
    known.set(config, judged);
    return judged;
  };
}

/** The keys under which the statements for the buffer and for the rest are cached. */
function createPartsCache(): (config: JudgedSources) => Record<"buffer" | "rest", JudgedSources> {
  const known = new WeakMap<JudgedSources, Record<"buffer" | "rest", JudgedSources>>();
  return (config) => {
    const parts = known.get(config) ?? { buffer: { ...config }, rest: { ...config } };
    known.set(config, parts);
    return parts;
  };
}

/** What a policy needs, computed once. */
function createNeedsCache(): (policy: Policy) => PolicyNeeds {
  const known = new WeakMap<Policy, PolicyNeeds>();
  return (policy) => {
    const needs = known.get(policy) ?? needsOf(policy);
    known.set(policy, needs);
    return needs;
  };
}
