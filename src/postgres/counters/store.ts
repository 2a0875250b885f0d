import type pg from "pg";
import { PermanentError } from "../../core/errors.ts";
import { databaseAddress, hasCode } from "../explain-error.ts";
import { createClient } from "../pool.ts";
import { type ColumnCache, createColumnCache } from "../source-columns.ts";
import { findSources, type JudgedSources, throwIfAny } from "../source-tables.ts";
import { withLockedTable } from "./locked-table.ts";
import {
  type CountableTable,
  findCountable,
  findCounter,
  type InstalledCounter,
  listCounters,
  requireUnchanged,
} from "./inspect.ts";
import { fill, recount } from "./recount.ts";
import type { Upkeep } from "./upkeep.ts";
import { createTriggers, SELECT_REMOVALS } from "./triggers.ts";
import { compareCounts, type Difference } from "./verify.ts";

export interface CounterStoreOptions {
  pool: pg.Pool;
  databaseUrl: string;
  databaseSchema?: string | undefined;
  /** Keeps the counters short. */
  upkeep: Pick<Upkeep, "sweep">;
}

/** Counters of buffer tables: triggers that add up what each statement changes, so that gather need not count the rows. */
export function createCounterStore({ pool, databaseUrl, databaseSchema, upkeep }: CounterStoreOptions) {
  const columns: ColumnCache = createColumnCache(pool);

  /** A connection of its own, because counting may take longer than the pool's query limit. */
  async function withClient<T>(use: (client: pg.Client) => Promise<T>): Promise<T> {
    const client = createClient(databaseUrl, {
      schema: databaseSchema,
      application_name: "retrigger counters",
    });
    try {
      await client.connect();
      return await use(client);
    } catch (error) {
      throw explain(error, databaseUrl);
    } finally {
      await client.end();
    }
  }

  return {
    /** The table of a model's buffer, or why it cannot have a counter, as a clause. @throws SourceError if it cannot be read. */
    async findCountable(model: string, config: JudgedSources): Promise<CountableTable | string> {
      const { tables, faults } = await findSources(columns, model, config, ["buffer"]);
      throwIfAny(faults, databaseAddress(databaseUrl));
      return tables.buffer ? findCountable(pool, tables.buffer) : "it has no table";
    },

    listCounters: () => listCounters(pool),

    /** Folds the counters that have grown without a decision that reads them. */
    sweepCounters: async (): Promise<void> => upkeep.sweep(await listCounters(pool)),

    /**
     * Installs the triggers, then counts the rows that were there before. Writers wait until the triggers are there, and not
     * for the count.
     */
    installCounter: (table: CountableTable, onWait: (text: string) => void): Promise<InstalledCounter> =>
      withClient(async (client) => {
        const { name, batch, time } = { name: table.name, ...table.columns };
        const id = await withLockedTable(client, table, "SHARE ROW EXCLUSIVE", onWait, async () => {
          await requireUnchanged(client, table);
          const { rows } = await client.query<{ id: number }>(INSERT, [
            table.oid,
            name,
            batch?.name ?? null,
            time?.name ?? null,
            time?.type ?? null,
          ]);
          const counter = rows[0]?.id ?? 0;
          await client.query(DEFINE, [
            counter,
            batch?.name ?? null,
            batch?.type ?? null,
            time?.name ?? null,
            time?.type ?? null,
            table.partitions.length > 0,
          ]);
          for (const statement of createTriggers(counter, table)) await client.query(statement);
          await client.query(SAVE_SHAPE, [counter]);
          return counter;
        });
        await fill(client, await findCounter(client, id));
        return findCounter(client, id);
      }),

    /** Counts the rows of a sound counter once more. */
    recountCounter: (counter: InstalledCounter): Promise<InstalledCounter> =>
      withClient(async (client) => {
        await recount(client, counter);
        return findCounter(client, counter.id);
      }),

    /** Removes a counter with its triggers. */
    removeCounter: (counter: InstalledCounter, onWait: (text: string) => void): Promise<void> =>
      withClient(async (client) => {
        const { rows } = await client.query<{ text: string; table: string }>(SELECT_REMOVALS, [counter.id]);
        const remove = async (): Promise<void> => {
          for (const { text } of rows) await client.query(text);
          await client.query("SELECT retrigger_drop_counter($1), retrigger_lock_counter($1)", [counter.id]);
          await client.query("DELETE FROM retraining_buffer_counts WHERE counter = $1", [counter.id]);
          await client.query("DELETE FROM retraining_buffer_counters WHERE id = $1", [counter.id]);
        };
        const [table, ...partitions] = [...new Set(rows.map((row) => row.table))];
        if (table === undefined) await remove();
        else await withLockedTable(client, { table, partitions }, "ACCESS EXCLUSIVE", onWait, remove);
      }),

    /** Compares a counter with the rows, in one snapshot. */
    verifyCounter: (counter: InstalledCounter): Promise<Difference[]> =>
      withClient((client) => compareCounts(client, counter)),
  };
}

/** Rights are those of the counted table, and not those of a source. */
function explain(error: unknown, databaseUrl: string): unknown {
  if (!hasCode(error, ["42501"])) return error;
  return new PermanentError(
    "NO_PRIVILEGE",
    `No privilege in ${databaseAddress(databaseUrl)}: ${error.message}. Nothing was changed. Run it as a role that owns the counted table and Retrigger's tables: see docs/counters.md`,
    { cause: error },
  );
}

const INSERT = `
INSERT INTO retraining_buffer_counters (table_oid, table_name, batch_column, time_column, time_type)
VALUES ($1::int8::oid, $2, $3, $4, $5) RETURNING id::int4 AS id`;

const DEFINE = "SELECT retrigger_define_counter($1, $2, $3::regtype, $4, $5::regtype, $6, current_user)";

const SAVE_SHAPE = `
UPDATE retraining_buffer_counters SET shape = retrigger_counter_shape(table_oid, id, batch_column, time_column) WHERE id = $1`;
