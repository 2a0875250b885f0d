import type pg from "pg";
import type { Logger } from "../process/logger.ts";
import { createPool } from "./pool.ts";
import { type ColumnCache, createColumnCache } from "./source-columns.ts";
import { createSourcePlans } from "./source-plans.ts";

/** A database that only holds sources, with what is known of its tables. */
export interface SourceDatabase {
  pool: pg.Pool;
  columns: ColumnCache;
  plans: ReturnType<typeof createSourcePlans>;
}

/** Connections to the databases that models have of their own. */
export interface SourcePools {
  /** Opens a database while `use` runs; its idle connections are closed some time after that. */
  withSource<T>(url: string, use: (database: SourceDatabase) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

/** One model is read at a time, and rarely two that share a database. */
const MAX_CONNECTIONS = 2;
const IDLE_LIMIT_MS = 10_000;
const MAX_POOLS = 20;

/**
 * @param maxPools So many databases are kept open; of those that are not in use, the one used longest ago is closed.
 */
export function createSourcePools(log: Logger, maxPools = MAX_POOLS): SourcePools {
  // In the order of their last use.
  const open = new Map<string, SourceDatabase & { users: number }>();

  function take(url: string): SourceDatabase & { users: number } {
    let database = open.get(url);
    if (database) open.delete(url);
    else {
      const pool = createPool(url, log, { max: MAX_CONNECTIONS, idleTimeoutMillis: IDLE_LIMIT_MS });
      const columns = createColumnCache(pool);
      database = { pool, columns, plans: createSourcePlans(columns, url), users: 0 };
    }
    open.set(url, database);
    database.users += 1;
    return database;
  }

  async function closeUnused(): Promise<void> {
    for (const [url, { pool, users }] of open) {
      if (open.size <= maxPools) return;
      if (users > 0) continue;
      open.delete(url);
      await pool.end();
    }
  }

  return {
    async withSource(url, use) {
      const database = take(url);
      try {
        return await use(database);
      } finally {
        database.users -= 1;
        await closeUnused();
      }
    },
    async close() {
      const pools = [...open.values()].map(({ pool }) => pool);
      open.clear();
      await Promise.all(pools.map((pool) => pool.end()));
    },
  };
}
