import { messageOf, PermanentError, SourceError } from "../core/errors.ts";
import { databaseAddress, explainPostgresError, hasCode, READ_ONLY } from "./explain-error.ts";
import { OWN_NAME } from "./own-tables.ts";
import type { Statement } from "./parameters.ts";
import type { ColumnCache } from "./source-columns.ts";
import {
  findSources,
  type JudgedSources,
  type SourceFault,
  type SourcePart,
  type SourceTables,
  throwIfAny,
} from "./source-tables.ts";

/** What a statement reads. */
export interface StatementOwner {
  model: string;
  /** The statement is kept as long as this object lives. */
  config: JudgedSources;
  /** The parts of the source that are in this database. */
  parts: readonly SourcePart[];
}

interface Kept {
  model: string;
  tables: Partial<SourceTables>;
  statement: Statement;
}

/**
 * Keeps the statement of each model, building which takes longer than reading a small table, until a statement fails
 * because the columns have changed.
 *
 * @param databaseUrl The database, for messages.
 */
export function createSourcePlans(cache: ColumnCache, databaseUrl: string) {
  const forget = ({ checks, buffer }: Partial<SourceTables>): void => {
    for (const table of [checks, buffer]) if (table) cache.forget(table.table);
  };
  // Most models differ in their parameters only.
  const texts = new Map<string, string>();
  const shareText = ({ text, parameters }: Statement): Statement => {
    const shared = texts.get(text) ?? text;
    texts.set(shared, shared);
    return { text: shared, parameters };
  };
  const known = new WeakMap<object, Kept>();

  return {
    /**
     * Reads by the model's statement. If the columns have changed since it was built, it builds another one and reads
     * once more.
     *
     * @throws SourceError that names each table or column that is missing, or says what else is wrong with the source.
     */
    async read<Result>(
      { model, config, parts }: StatementOwner,
      prepare: (tables: Partial<SourceTables>) => Statement,
      read: (statement: Statement) => Promise<Result>,
    ): Promise<Result> {
      for (let isRetry = false; ; isRetry = true) {
        const kept = known.get(config);
        const current = kept?.model === model ? kept : await make();
        known.set(config, current);
        try {
          return await read(current.statement);
        } catch (error) {
          if (isRetry || !hasCode(error, COLUMN_ERRORS)) throw explainReading(error, databaseUrl);
        }
        known.delete(config);
        forget(current.tables);
      }

      async function make(): Promise<Kept> {
        let { tables, faults } = await findSources(cache, model, config, parts);
        if (faults.length > 0) {
          // Another model may have looked them up before they were repaired.
          forget(tables);
          ({ tables, faults } = await findSources(cache, model, config, parts));
        }
        throwIfAny(faults, databaseAddress(databaseUrl));
        return { model, tables, statement: shareText(prepare(tables)) };
      }
    },
  };
}

/** SQLSTATE: a missing table or column, and those of an expression whose column now has another type. */
const COLUMN_ERRORS = ["42P01", "42703", "42883", "42804", "42846", "22P02"];

/** Missing tables and columns are found before the statement runs. */
const READING_FAULTS: readonly string[] = ["NO_PRIVILEGE", "SOURCE_DATA"] satisfies SourceFault["code"][];

/** The statement reads tables of ours too. What is wrong is the source's, unless Postgres names one of those. */
function explainReading(error: unknown, databaseUrl: string): unknown {
  // What a view calls runs with the rights of whoever reads it.
  if (hasCode(error, [READ_ONLY]))
    return new SourceError(
      "SOURCE_WRITES",
      `Reading a source in ${databaseAddress(databaseUrl)} would write: ${error.message}. Let the view only read`,
      { cause: error },
    );
  const explained = explainPostgresError(error, databaseUrl);
  const isOfSource =
    explained instanceof PermanentError &&
    READING_FAULTS.includes(explained.code) &&
    !OWN_NAME.test(messageOf(error));
  return isOfSource ? new SourceError(explained.code, explained.message, { cause: error }) : error;
}
