import type pg from "pg";
import type { ModelConfig } from "../config.ts";
import type { Evidence } from "../core/evidence.ts";
import type { DispatchOutcome } from "../core/training.ts";
import { ServerAwayError } from "../errors.ts";
import type { Logger } from "../logger.ts";
import { createServerState } from "../server-state.ts";
import {
  type DecisionRow,
  listDecisions,
  type NewDecision,
  recordDecision,
  type RecordingAnswer,
} from "./decisions.ts";
import * as dispatches from "./dispatches.ts";
import * as trainings from "./trainings.ts";
import { type AcceptedEvent, listOpenRuns, moveEvents, type OpenRun, recordEvent } from "./events.ts";
import { fetchEvidence, quoteTable } from "./evidence.ts";
import { explainPostgresError } from "./explain-error.ts";
import { findPendingMigrations, migrate } from "./migrate.ts";
import { createPool } from "./pool.ts";

/** Everything that is asked of Postgres. Whatever fails says where, why, and what to do. */
export interface Database {
  ping(): Promise<void>;
  migrate(): Promise<string[]>;
  findPendingMigrations(): Promise<string[]>;
  /** @throws TransientError READING_TOO_SLOW if it takes longer than `limitMs`. */
  fetchEvidence(model: string, config: ModelConfig, limitMs?: number): Promise<Evidence>;
  recordDecision(decision: NewDecision): Promise<RecordingAnswer>;
  claimDispatch(decisionId: number): Promise<dispatches.Claim>;
  postponeDispatch(decisionId: number, why: { error: string; wasAsked: boolean }): Promise<void>;
  settleDispatch(decisionId: number, settlement: dispatches.Settlement): Promise<DispatchOutcome>;
  readDispatch(runId: string): Promise<trainings.FollowedDispatch | null>;
  findDispatch(id: string): Promise<trainings.FollowedDispatch | null>;
  recordProgress(runId: string, progress: trainings.Progress): Promise<boolean>;
  recordExtraRuns(
    runId: string,
    runs: { externalId: string; url: string | null; extraRuns: string[] },
  ): Promise<void>;
  claimRun(runId: string): Promise<boolean>;
  isAnyInFlight(decisionIds: readonly number[]): Promise<boolean>;
  reopenDispatch(runId: string, from: "rejected" | "unknown"): Promise<dispatches.Reopening>;
  confirmDispatch(runId: string, externalId: string): Promise<dispatches.Reopening>;
  findTraining(training: { externalId: string; key: string | null }): Promise<string | null>;
  countDispatches(): Promise<trainings.DispatchCount[]>;
  listOpenTrainings(): Promise<trainings.OpenTraining[]>;
  /** The columns of a table or view, and those that this user may read; null where there is none of that name. */
  listColumns(table: string): Promise<{ all: string[]; readable: string[] } | null>;
  listDecisions(filter: { model: string | null; limit: number }): Promise<DecisionRow[]>;
  recordEvent(event: AcceptedEvent): Promise<"accepted" | { duplicateOf: string | null }>;
  moveEvents(fromRunId: string, toRunId: string): Promise<void>;
  listOpenRuns(): Promise<OpenRun[]>;
  close(): Promise<void>;
}

export interface DatabaseOptions {
  databaseUrl: string;
  /** The trainer whose earlier trainings answer an alert. */
  trainer: { name: string };
  patience: { lostAfterSeconds: number };
  /** IANA zone of timestamps without one. */
  timeZone: string;
  /** Evidence that is older than this, by the database's clock, is not acted on. */
  evidenceMaxAgeSeconds: number;
}

export function createDatabase(
  { databaseUrl, trainer: { name: trainer }, patience, timeZone, evidenceMaxAgeSeconds }: DatabaseOptions,
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
    migrate: () => ask(() => migrate(pool, databaseUrl, log)),
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
            lostAfterSeconds: patience.lostAfterSeconds,
            evidenceMaxAgeSeconds,
            timeZone,
          },
          limitMs,
        ),
      ),
    listColumns: (table) => ask(() => listColumns(pool, table)),
    recordDecision: (decision) =>
      ask(() => recordDecision(pool, decision, { timeZone, evidenceMaxAgeSeconds })),
    claimDispatch: (decisionId) =>
      ask(() => dispatches.claimDispatch(pool, decisionId, evidenceMaxAgeSeconds)),
    postponeDispatch: (decisionId, why) => ask(() => dispatches.postponeDispatch(pool, decisionId, why)),
    settleDispatch: (decisionId, settlement) =>
      ask(() => dispatches.settleDispatch(pool, decisionId, settlement)),
    readDispatch: (runId) => ask(() => trainings.readDispatch(pool, runId)),
    findDispatch: (id) => ask(() => trainings.findDispatch(pool, id)),
    recordProgress: (runId, progress) => ask(() => trainings.recordProgress(pool, runId, progress)),
    recordExtraRuns: (runId, runs) => ask(() => trainings.recordExtraRuns(pool, runId, runs)),
    claimRun: (runId) => ask(() => trainings.claimRun(pool, runId)),
    isAnyInFlight: (ids) => ask(() => trainings.isAnyInFlight(pool, ids)),
    reopenDispatch: (runId, from) => ask(() => dispatches.reopenDispatch(pool, runId, from)),
    confirmDispatch: (runId, externalId) => ask(() => dispatches.confirmDispatch(pool, runId, externalId)),
    findTraining: (training) => ask(() => trainings.findTraining(pool, training)),
    countDispatches: () => ask(() => trainings.countDispatches(pool)),
    listOpenTrainings: () => ask(() => trainings.listOpenTrainings(pool, trainer)),
    listDecisions: (filter) => ask(() => listDecisions(pool, { ...filter, timeZone })),
    recordEvent: (event) => ask(() => recordEvent(pool, event)),
    moveEvents: (from, to) => ask(() => moveEvents(pool, from, to)),
    listOpenRuns: () => ask(() => listOpenRuns(pool, trainer)),
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
