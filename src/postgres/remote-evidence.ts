import type pg from "pg";
import { PermanentError, ServerAwayError, SourceError, TransientError } from "../core/errors.ts";
import type { EvidenceResult } from "./evidence-result.ts";
import { buildSourceReading, buildStart, type EvidenceReading } from "./evidence-sql.ts";
import { explainPostgresError } from "./explain-error.ts";
import type { Statement } from "./parameters.ts";
import { sendPrepared } from "./prepared.ts";
import type { SourcePools } from "./source-pools.ts";
import type { JudgedSources, SourcePart } from "./source-tables.ts";

/** What another database returned: the parts of the evidence that are there. */
type SourceResult = Partial<Pick<EvidenceResult, "buffer" | "newestCheckAt">> & {
  checks?: unknown;
  shadowChecks?: unknown;
  weighed?: unknown[];
};

export interface RemoteReading {
  pool: pg.Pool;
  pools: SourcePools;
  reading: EvidenceReading;
  config: JudgedSources;
  parts: readonly SourcePart[];
  limitMs: number;
  /** Reads our own tables, with the rows of `weighed` if the checks are elsewhere. */
  readOwn(weighed: unknown[] | undefined): Promise<EvidenceResult>;
}

const MAX_ATTEMPTS = 3;

/**
 * Reads evidence of which a part is in a database of the model's own: first our clock, then the source there, by its
 * own clock, then our tables. The time of the evidence is not later than either snapshot, so that a decision covers no
 * event that it has not seen. If a training succeeded in the meantime, what is new since the last one is counted
 * again.
 */
export async function readRemoteEvidence({
  pool,
  pools,
  reading,
  config,
  parts,
  limitMs,
  readOwn,
}: RemoteReading): Promise<EvidenceResult> {
  const send = async <T>(target: pg.Pool, { text, parameters }: Statement): Promise<T> =>
    (await sendPrepared(target, text, parameters, limitMs)).rows[0]?.["evidence"] as T;
  for (let attempt = 1; attempt <= MAX_ATTEMPTS; attempt += 1) {
    const start = await send<Pick<EvidenceResult, "lastSuccess"> & { takenAt: string }>(
      pool,
      buildStart(reading),
    );
    const since = start.lastSuccess?.takenAt ?? "-infinity";
    const source = await readSource(since);
    const { weighed, ...found } = source;
    const own = await readOwn(weighed);
    const isCurrent = own.lastSuccess?.decisionId === start.lastSuccess?.decisionId;
    if (isCurrent) return { ...own, ...found, takenAt: start.takenAt };
  }
  throw new TransientError(
    "SOURCE_CHANGED",
    "Trainings of the model ended while its source was read, again and again",
  );

  async function readSource(since: string): Promise<SourceResult> {
    const { source } = config;
    const { variable, url } = source.database ?? { variable: "", url: "" };
    return pools
      .withSource(url, (database) =>
        database.plans.read(
          { model: reading.model, parts, config },
          (tables) => buildSourceReading(reading, tables),
          async ({ text, parameters }) => {
            const list = [{ type: "text", value: since } as const, ...parameters.slice(1)];
            return send<SourceResult>(database.pool, { text, parameters: list });
          },
        ),
      )
      .catch((error: unknown) => {
        throw explainSourceError(error, url, variable);
      });
  }
}

/** An error of a source's database. It says nothing about the database of Retrigger. */
export function explainSourceError(error: unknown, url: string, variable: string): Error {
  const explained = explainPostgresError(error, url, variable);
  const message = `The source database in ${variable}: ${explained.message}`;
  if (explained instanceof PermanentError) return new SourceError(explained.code, message, { cause: error });
  const code = explained instanceof ServerAwayError ? "SOURCE_AWAY" : explained.code;
  return new TransientError(code, message, { cause: error });
}
