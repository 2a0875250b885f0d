import type pg from "pg";
import type { Evidence } from "../core/evidence.ts";
import { needsOf, type Policy, type PolicyNeeds } from "../core/policy.ts";
import { type EvidenceResult, toEvidence } from "./evidence-result.ts";
import { buildEvidence, type EvidenceReading } from "./evidence-sql.ts";
import { sendPrepared } from "./prepared.ts";
import { createColumnCache } from "./source-columns.ts";
import { readRemoteEvidence } from "./remote-evidence.ts";
import { createSourcePlans } from "./source-plans.ts";
import type { SourcePools } from "./source-pools.ts";
import { locateParts, type ModelSources } from "./source-tables.ts";

export interface EvidenceStoreOptions extends Pick<
  EvidenceReading,
  "flightLimitSeconds" | "evidenceMaxAgeSeconds" | "timeZone"
> {
  pool: pg.Pool;
  /** For messages. */
  databaseUrl: string;
  /** The databases that models have of their own. */
  sourcePools: SourcePools;
}

/** Counting ten million ratings takes about two seconds. A query that takes longer than this is cancelled. */
export const READING_LIMIT_MS = 115_000;

/** Reads the source tables. */
export function createEvidenceStore({ pool, databaseUrl, sourcePools, ...options }: EvidenceStoreOptions) {
  const columns = createColumnCache(pool);
  const plans = createSourcePlans(columns, databaseUrl);
  const needsOfPolicy = createNeedsCache();

  return {
    /**
     * Reads all the evidence for a decision with one statement: one snapshot, one round trip. The database compares
     * all times, on its own clock. The columns of the source tables are looked up before the first time. A source in
     * another database takes two more round trips.
     *
     * @param limitMs After this long the server cancels a query: TransientError READING_TOO_SLOW.
     * @throws SourceError that names each table or column that is missing, and its place in the settings.
     */
    async fetchEvidence(model: string, config: ModelSources, limitMs = READING_LIMIT_MS): Promise<Evidence> {
      const { source, policy, trainer, expectDriftRunEveryMs } = config;
      const needs = needsOfPolicy(policy);
      const reading = {
        ...options,
        model,
        needs,
        isSinceTraining: source.buffer.since !== null,
        expectsDriftRuns: expectDriftRunEveryMs !== null,
        trainer: trainer.name,
      };
      const { own, remote } = locateParts(source);
      const readOwn = (weighed?: unknown[]): Promise<EvidenceResult> =>
        plans.read(
          { model, parts: own, config },
          (tables) => buildEvidence(reading, tables),
          async ({ text, parameters }) => {
            const list = weighed
              ? [{ type: "text", value: JSON.stringify(weighed) } as const, ...parameters.slice(1)]
              : parameters;
            const { rows } = await sendPrepared(pool, text, list, limitMs);
            return rows[0]?.["evidence"] as EvidenceResult;
          },
        );
      const result =
        remote.length === 0
          ? await readOwn()
          : await readRemoteEvidence({
              pool,
              pools: sourcePools,
              reading,
              config,
              parts: remote,
              limitMs,
              readOwn,
            });
      return toEvidence(result, { needs, source, trainer, expectDriftRunEveryMs });
    },
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
