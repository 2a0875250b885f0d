import type pg from "pg";
import type { LatestDecision } from "../core/dispatch/effects.ts";
import { computeFlightLimitMs } from "../core/dispatch/plan.ts";
import type { Advance } from "../core/dispatch/transition.ts";
import { ServerAwayError } from "../core/errors.ts";
import type { Evidence } from "../core/evidence.ts";
import type { Logger } from "../process/logger.ts";
import { createServerState } from "../process/server-state.ts";
import * as decisions from "./decisions.ts";
import * as dispatches from "./dispatches.ts";
import { type AcceptedEvent, moveEvents, recordEvent } from "./events.ts";
import { fetchEvidence, type ModelSources, quoteTable } from "./evidence.ts";
import { explainPostgresError } from "./explain-error.ts";
import { findPendingMigrations, migrate, type MigrateOptions } from "./migrate.ts";
import { createPool } from "./pool.ts";

/** All access to Postgres. Every error says where it happened, why, and what to do. */
export interface Database {
  ping(): Promise<void>;
  migrate(options?: MigrateOptions): Promise<string[]>;
  findPendingMigrations(): Promise<string[]>;
  /** @param limitMs After this long the server cancels the query: TransientError READING_TOO_SLOW. */
  fetchEvidence(model: string, sources: ModelSources, limitMs?: number): Promise<Evidence>;
  recordDecision(decision: decisions.NewDecision): Promise<decisions.RecordingAnswer>;
  readLatestDecision(model: string): Promise<LatestDecision | null>;
  listModelStates(models: readonly string[]): Promise<decisions.ModelState[]>;
  claimDispatch(decisionId: number): Promise<dispatches.Claim>;
  readDispatch(runId: string): Promise<dispatches.DispatchRecord | null>;
  findDispatch(id: string): Promise<dispatches.DispatchRecord | null>;
  updateDispatch(
    record: dispatches.DispatchRecord,
    reduce: (record: dispatches.DispatchRecord) => Advance,
  ): Promise<dispatches.Advanced>;
  findLaterRequest(decisionId: number): Promise<number | null>;
  findTraining(training: { externalId: string; key: string | null }): Promise<string | null>;
  countDispatches(): Promise<dispatches.DispatchCount[]>;
  listOpenDispatches(): Promise<dispatches.OpenDispatch[]>;
  /** The columns of a table or view, and those that this user may read; null if there is none of that name. */
  listColumns(table: string): Promise<{ all: string[]; readable: string[] } | null>;
  listDecisions(filter: { model: string | null; limit: number }): Promise<decisions.DecisionRow[]>;
  recordEvent(event: AcceptedEvent): Promise<"accepted" | { duplicateOf: string | null }>;
  moveEvents(fromRunId: string, toRunId: string): Promise<void>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  databaseUrl: string;
  /** The trainer whose earlier trainings answer an alert. */
  trainer: { name: string };
  timing: { lostAfterSeconds: number };
  /** IANA zone of timestamps without one. */
  timeZone: string;
  /** Evidence that is older than this, by the database's clock, is not acted on. */
  evidenceMaxAgeSeconds: number;
}

export function createDatabase(
  { databaseUrl, trainer: { name: trainer }, timing, timeZone, evidenceMaxAgeSeconds }: DatabaseOptions,
  log: Logger,
): Database {
  const pool = createPool(databaseUrl, log);
  const state = createServerState("Postgres", log);
  const ask = async <T>(call: (pool: pg.Pool) => Promise<T>): Promise<T> => {
    try {
      const answer = await call(pool);
      state.back("pool");
      return answer;
    } catch (error) {
      const explained = explainPostgresError(error, databaseUrl);
      if (explained instanceof ServerAwayError) state.away("pool", explained);
      throw explained;
    }
  };
  return {
    ping: () => ask(async () => void (await pool.query("SELECT 1"))),
    migrate: (options) => ask(() => migrate(pool, databaseUrl, log, options)),
    findPendingMigrations: () => ask(() => findPendingMigrations(pool)),
    fetchEvidence: (model, { policy, driftAlertsTable, ratingsBufferTable }, limitMs) =>
      ask(() =>
        fetchEvidence(
          pool,
          {
            model,
            lookbackHours: policy.lookbackHours,
            driftAlertsTable,
            ratingsBufferTable,
            trainer,
            flightLimitSeconds: computeFlightLimitMs(timing.lostAfterSeconds * 1000) / 1000,
            evidenceMaxAgeSeconds,
            timeZone,
          },
          limitMs,
        ),
      ),
    recordDecision: (decision) =>
      ask(() => decisions.recordDecision(pool, decision, { timeZone, evidenceMaxAgeSeconds })),
    readLatestDecision: (model) => ask(() => decisions.readLatestDecision(pool, model)),
    listModelStates: (models) => ask(() => decisions.listModelStates(pool, models)),
    claimDispatch: (decisionId) =>
      ask(() => dispatches.claimDispatch(pool, decisionId, evidenceMaxAgeSeconds)),
    readDispatch: (runId) => ask(() => dispatches.readDispatch(pool, runId)),
    findDispatch: (id) => ask(() => dispatches.findDispatch(pool, id)),
    updateDispatch: (record, reduce) => ask(() => dispatches.updateDispatch(pool, record, reduce)),
    findLaterRequest: (decisionId) => ask(() => dispatches.findLaterRequest(pool, decisionId)),
    findTraining: (training) => ask(() => dispatches.findTraining(pool, training)),
    countDispatches: () => ask(() => dispatches.countDispatches(pool)),
    listOpenDispatches: () => ask(() => dispatches.listOpenDispatches(pool, trainer)),
    listColumns: (table) => ask(() => listColumns(pool, table)),
    listDecisions: (filter) => ask(() => decisions.listDecisions(pool, { ...filter, timeZone })),
    recordEvent: (event) => ask(() => recordEvent(pool, event)),
    moveEvents: (from, to) => ask(() => moveEvents(pool, from, to)),
    close: () => pool.end(),
  };
}

async function listColumns(
  pool: pg.Pool,
  table: string,
): Promise<{ all: string[]; readable: string[] } | null> {
  const { rows } = await pool.query<{ name: string; isReadable: boolean }>(
    `SELECT attname AS name, has_column_privilege(attrelid, attnum, 'SELECT') AS "isReadable"
     FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`,
    [quoteTable(table)],
  );
  if (rows.length === 0) return null;
  const names = (list: typeof rows): string[] => list.map(({ name }) => name);
  return { all: names(rows), readable: names(rows.filter(({ isReadable }) => isReadable)) };
}
