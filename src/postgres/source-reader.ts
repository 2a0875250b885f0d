import type pg from "pg";
import type { Statement } from "./parameters.ts";
import { sendPrepared } from "./prepared.ts";
import { type ColumnCache, createColumnCache } from "./source-columns.ts";
import { createSourcePlans } from "./source-plans.ts";
import type { SourcePools } from "./source-pools.ts";
import { type JudgedSources, locateParts, type SourcePart, type SourceTables } from "./source-tables.ts";

export interface SourceReaderOptions {
  pool: pg.Pool;
  databaseUrl: string;
  sourcePools: SourcePools;
}

export type SourceRows = Record<string, unknown>[];

/** Reads one part of a model's source, in whichever database it is, for at most `limitMs`. */
export function createSourceReader({ pool, databaseUrl, sourcePools }: SourceReaderOptions, limitMs: number) {
  const columns = createColumnCache(pool);

  /** @throws SourceError if the source is wrong. */
  return async function readSource(
    { model, config, part }: { model: string; config: JudgedSources; part: SourcePart },
    build: (tables: Partial<SourceTables>) => Statement,
  ): Promise<SourceRows> {
    const { database } = config.source;
    const read = (target: { pool: pg.Pool; columns: ColumnCache; url: string }): Promise<SourceRows> =>
      createSourcePlans(target.columns, target.url).read(
        { model, config, parts: [part] },
        build,
        async ({ text, parameters }) => (await sendPrepared(target.pool, text, parameters, limitMs)).rows,
      );
    if (database === null || locateParts(config.source).own.includes(part))
      return read({ pool, columns, url: databaseUrl });
    return sourcePools.withSource(database.url, (source) => read({ ...source, url: database.url }));
  };
}
