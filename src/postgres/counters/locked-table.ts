import type pg from "pg";
import { TransientError } from "../../core/errors.ts";
import { hasCode } from "../explain-error.ts";

/** How long to try to get the locks. */
const WAIT_LIMIT_MS = 5 * 60_000;
/** Other sessions queue behind one that waits for a lock, so it gives up soon and tries again. */
const LOCK_LIMIT_MS = 500;
const PAUSE_MS = 1_000;

/** SQLSTATE: the lock timeout passed, or a lock was not available at once. */
const IN_USE = ["55P03"];

export interface LockedTable {
  /** Quoted. */
  table: string;
  /** Its partitions, quoted. */
  partitions: readonly string[];
}

/**
 * Runs a transaction in which the table is locked, with its partitions. Every transaction that wrote the table has ended by
 * then. It waits for the first lock only, when it holds none, so that it cannot be part of a deadlock.
 *
 * @param mode `SHARE ROW EXCLUSIVE` keeps out writers, `ACCESS EXCLUSIVE` readers too.
 * @param onWait Called once if the table is in use.
 */
export async function withLockedTable<T>(
  client: pg.ClientBase,
  { table, partitions }: LockedTable,
  mode: "SHARE ROW EXCLUSIVE" | "ACCESS EXCLUSIVE",
  onWait: (text: string) => void,
  act: () => Promise<T>,
): Promise<T> {
  const deadline = performance.now() + WAIT_LIMIT_MS;
  for (let isFirst = true; ; isFirst = false) {
    try {
      await client.query(
        `BEGIN ISOLATION LEVEL READ COMMITTED; SET LOCAL lock_timeout = ${LOCK_LIMIT_MS}; SET LOCAL statement_timeout = 0;
         LOCK TABLE ONLY ${table} IN ${mode} MODE`,
      );
      if (partitions.length > 0)
        await client.query(
          `LOCK TABLE ${partitions.map((each) => `ONLY ${each}`).join(", ")} IN ${mode} MODE NOWAIT`,
        );
      const result = await act();
      await client.query("COMMIT");
      return result;
    } catch (error) {
      await client.query("ROLLBACK");
      if (!hasCode(error, IN_USE)) throw error;
      if (performance.now() > deadline)
        throw new TransientError(
          "TABLE_IN_USE",
          `Other transactions kept ${table} locked for ${WAIT_LIMIT_MS / 60_000} min. Nothing was changed. SELECT * FROM pg_locks WHERE relation = '${table}'::regclass shows which`,
          { cause: error },
        );
      if (isFirst) onWait(`${table} is in use: waiting for the transactions that write it to end`);
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
  }
}
