import type pg from "pg";
import type { Evidence } from "../core/evidence.ts";
import { needsOf, type Policy, type PolicyNeeds } from "../core/policy.ts";
import type { Sources } from "../settings/sources.ts";
import { type EvidenceResult, toEvidence } from "./evidence-result.ts";
import { buildEvidence, type EvidenceReading } from "./evidence-sql.ts";
import { databaseAddress } from "./explain-error.ts";
import type { Statement } from "./parameters.ts";
import { sendPrepared } from "./prepared.ts";
import { createColumnCache } from "./source-columns.ts";
import { createSourcePlans } from "./source-plans.ts";
import { findSources, type SourceFault } from "./source-tables.ts";

/** What a model is judged by, and where its evidence is. */
export interface ModelSources {
  policy: Policy;
  source: Sources;
  /** Only a training of this trainer counts as an answer to an alert. */
  trainer: { name: string };
  /** How often a drift run is expected, in milliseconds; null if none is. */
  expectDriftRunEveryMs: number | null;
}

export interface EvidenceStoreOptions extends Pick<
  EvidenceReading,
  "flightLimitSeconds" | "evidenceMaxAgeSeconds" | "timeZone"
> {
  pool: pg.Pool;
  /** For messages. */
  databaseUrl: string;
}

/** Counting ten million ratings takes about two seconds. A query that takes longer than this is cancelled. */
export const READING_LIMIT_MS = 115_000;

interface EvidencePlan {
  needs: PolicyNeeds;
  statement: Statement;
}

/** Reads the source tables. */
export function createEvidenceStore({ pool, databaseUrl, ...options }: EvidenceStoreOptions) {
  const columns = createColumnCache(pool);
  const plans = createSourcePlans<EvidencePlan>(columns, databaseAddress(databaseUrl));

  return {
    /**
     * Reads all the evidence for a decision with one statement: one snapshot, one round trip. The database compares all
     * times, on its own clock. The columns of the source tables are looked up before the first time.
     *
     * @param limitMs After this long the server cancels the query: TransientError READING_TOO_SLOW.
     * @throws PermanentError that names each table or column that is missing, and its place in the settings.
     */
    async fetchEvidence(model: string, config: ModelSources, limitMs = READING_LIMIT_MS): Promise<Evidence> {
      const { source, policy, trainer, expectDriftRunEveryMs } = config;
      const result = await plans.read(
        { model, source, key: config },
        (tables) => {
          const needs = needsOf(policy);
          const isSinceTraining = source.buffer.since !== null;
          const expectsDriftRuns = expectDriftRunEveryMs !== null;
          const reading = {
            ...options,
            model,
            needs,
            isSinceTraining,
            expectsDriftRuns,
            trainer: trainer.name,
          };
          return { needs, statement: buildEvidence(reading, tables) };
        },
        async ({ needs, statement: { text, parameters } }) => {
          const { rows } = await sendPrepared(pool, text, parameters, limitMs);
          return { needs, ...(rows[0]?.["evidence"] as EvidenceResult) };
        },
      );
      return toEvidence(result, { needs: result.needs, source, expectDriftRunEveryMs });
    },

    /** What is wrong with a model's tables and columns. */
    async findSourceFaults(model: string, source: Sources): Promise<SourceFault[]> {
      return (await findSources(columns, model, source)).faults;
    },
  };
}
