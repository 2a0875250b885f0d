import type { Sources } from "../settings/sources.ts";
import { hasCode } from "./explain-error.ts";
import type { ColumnCache } from "./source-columns.ts";
import { findSources, type SourcePart, type SourceTables, throwIfAny } from "./source-tables.ts";

/** What a plan is for. */
export interface PlanOwner {
  model: string;
  source: Sources;
  /** The parts of the source that are in this database. */
  parts: readonly SourcePart[];
  /** The plan is kept as long as this object lives. */
  key: object;
}

/**
 * Keeps what was prepared for each model, which takes longer than reading a small table, until a statement fails because the
 * columns have changed.
 *
 * @param address The database, for messages.
 */
export function createSourcePlans<Plan>(cache: ColumnCache, address: string) {
  const forget = ({ checks, buffer }: Partial<SourceTables>): void => {
    for (const table of [checks, buffer]) if (table) cache.forget(table.table);
  };
  const known = new WeakMap<object, { tables: Partial<SourceTables>; plan: Plan }>();

  return {
    /**
     * Reads by a plan. If the columns have changed since it was made, it makes another one and reads once more.
     *
     * @throws PermanentError that names each table or column that is missing.
     */
    async read<Result>(
      { model, source, parts, key }: PlanOwner,
      prepare: (tables: Partial<SourceTables>) => Plan,
      read: (plan: Plan) => Promise<Result>,
    ): Promise<Result> {
      for (let isRetry = false; ; isRetry = true) {
        const current = known.get(key) ?? (await make());
        known.set(key, current);
        try {
          return await read(current.plan);
        } catch (error) {
          if (isRetry || !hasCode(error, COLUMN_ERRORS)) throw error;
        }
        known.delete(key);
        forget(current.tables);
      }

      async function make(): Promise<{ tables: Partial<SourceTables>; plan: Plan }> {
        let { tables, faults } = await findSources(cache, model, source, parts);
        if (faults.length > 0) {
          // Another model may have looked them up before they were repaired.
          forget(tables);
          ({ tables, faults } = await findSources(cache, model, source, parts));
        }
        throwIfAny(faults, address);
        return { tables, plan: prepare(tables) };
      }
    },
  };
}

/** SQLSTATE: a missing table or column, and those of an expression whose column now has another type. */
const COLUMN_ERRORS = ["42P01", "42703", "42883", "42804", "42846", "22P02"];
