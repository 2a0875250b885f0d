import { setTimeout } from "node:timers/promises";
import type { ClientBase } from "pg";
import { PermanentError } from "../core/errors.ts";
import type { Logger } from "../process/logger.ts";

const PAUSE_MS = 500;

/** Earlier versions locked the same id for their session, so an old and a new process exclude each other. */
const LOCK_ID = 7_283_401;

/** What keeps a migration from running: another process's migration lock, or a transaction that uses one of the tables. */
export type MigrationBlocker = "process" | "table";

export interface MigrationWaitOptions {
  client: ClientBase;
  /** The database, as shown in messages. */
  address: string;
  limitMs: number;
  log: Logger;
  onWait: (text: string) => void;
}

const WAITING_FOR: Record<MigrationBlocker, string> = {
  process: "another process to finish migrating",
  table: "a transaction that keeps a table from being migrated",
};

/** The session that holds the lock. Postgres shows an unprivileged user only its pid. */
interface LockHolder {
  pid: number;
  applicationName: string | null;
  clientAddress: string | null;
  state: string | null;
  /** When its transaction began, or its session's state last changed; ISO 8601. */
  since: string | null;
}

const OUR_LOCK = `locktype = 'advisory' AND classid = 0 AND objid = ${LOCK_ID} AND objsubid = 1
  AND database = (SELECT oid FROM pg_database WHERE datname = current_database())`;

const HELD: Record<MigrationBlocker, string> = {
  process: OUR_LOCK,
  table: `database = (SELECT oid FROM pg_database WHERE datname = current_database())
    AND relation IN (SELECT oid FROM pg_class WHERE relname ~ '^retraining_')`,
};

/** Takes the lock until the transaction ends, if it is free. Returns whether it did. */
export async function tryMigrationLock(client: ClientBase): Promise<boolean> {
  await releaseInherited(client);
  const { rows } = await client.query<{ isOurs: boolean }>(
    `SELECT pg_try_advisory_xact_lock(${LOCK_ID}) AS "isOurs"`,
  );
  return rows[0]?.isOurs === true;
}

/**
 * Returns a function that pauses before another attempt. When a wait begins, it reports once which session holds the lock
 * and what to do. `limitMs` counts from the call of this factory.
 *
 * @throws PermanentError `MIGRATION_LOCKED` once the limit has passed.
 */
export function createMigrationWait({ client, address, limitMs, log, onWait }: MigrationWaitOptions) {
  const deadline = performance.now() + limitMs;
  let reported: MigrationBlocker | null = null;
  return async (blocker: MigrationBlocker): Promise<void> => {
    const holder = await findHolder(client, blocker);
    const remedy = remedyFor(holder, blocker);
    const help = holder ? `The lock is held by ${describeHolder(holder)}. ${remedy}` : remedy;
    if (performance.now() > deadline) {
      throw new PermanentError(
        "MIGRATION_LOCKED",
        `Cannot migrate ${address}: waited ${limitMs / 1000} s for ${WAITING_FOR[blocker]}. ${help}`,
      );
    }
    if (reported !== blocker) {
      log.warn({ holder, remedy }, `waiting for ${WAITING_FOR[blocker]}`);
      onWait(`Waiting for ${WAITING_FOR[blocker]}. ${help}`);
      reported = blocker;
    }
    await setTimeout(PAUSE_MS);
  };
}

/** The session that holds the lock, or the one with the oldest transaction if several do; null if it was just released. */
async function findHolder(client: ClientBase, blocker: MigrationBlocker): Promise<LockHolder | null> {
  const { rows } = await client.query<Omit<LockHolder, "since"> & { since: Date | null }>(
    `SELECT pid, application_name AS "applicationName", client_addr::text AS "clientAddress", state,
            COALESCE(xact_start, state_change) AS since
     FROM pg_locks LEFT JOIN pg_stat_activity USING (pid)
     WHERE granted AND pid <> pg_backend_pid() AND ${HELD[blocker]}
     ORDER BY since LIMIT 1`,
  );
  const [holder] = rows;
  return holder ? { ...holder, since: holder.since?.toISOString() ?? null } : null;
}

/** "pid 4711, application retrigger migrate, from 10.0.0.7, idle, since ...", as far as known. */
function describeHolder({ pid, applicationName, clientAddress, state, since }: LockHolder): string {
  const known = [
    `pid ${pid}`,
    applicationName && `application ${applicationName}`,
    clientAddress && `from ${clientAddress}`,
    state,
    since && `since ${since}`,
  ];
  return known.filter(Boolean).join(", ");
}

/** What to do if the wait takes too long. */
function remedyFor(holder: LockHolder | null, blocker: MigrationBlocker): string {
  if (!holder) return "The lock has just been released; if this repeats, check: SELECT * FROM pg_locks";
  const end = `SELECT pg_terminate_backend(${holder.pid})`;
  // A migration runs in a transaction, in which a session is never just idle.
  if (blocker === "process" && holder.state === "idle")
    return `An earlier version of Retrigger left its lock on a pooled connection. Release it with: ${end}`;
  return `Wait for it to finish; if it hangs, terminate it with: ${end}`;
}

/**
 * A pooler may give us the server connection on which an earlier version left its session lock. Postgres would grant it to
 * our session again, and only our session can release it. It counts once for each old process that took it.
 */
async function releaseInherited(client: ClientBase): Promise<void> {
  const release = `SELECT pg_advisory_unlock(${LOCK_ID}) FROM pg_locks WHERE pid = pg_backend_pid() AND ${OUR_LOCK}`;
  while (((await client.query(release)).rowCount ?? 0) > 0);
}
