import type { Pool } from "pg";
import { computeFlightLimitMs } from "../core/dispatch/plan.ts";
import { ServerAwayError } from "../core/errors.ts";
import type { Logger } from "../process/logger.ts";
import { createServerState, type ServerState } from "../process/server-state.ts";
import { createAuditStore } from "./audit.ts";
import { createChangeStore } from "./changes.ts";
import { createCounterStore } from "./counters/store.ts";
import { createUpkeep } from "./counters/upkeep.ts";
import { createDecisionExport } from "./decision-export.ts";
import { createDecisionLog } from "./decision-log.ts";
import { createDecisionStore } from "./decisions.ts";
import { createDispatchClaims } from "./dispatch-claim.ts";
import { createDispatchLists } from "./dispatch-lists.ts";
import { createDispatchStore } from "./dispatches.ts";
import { createEventStore } from "./events.ts";
import { createEvidenceStore } from "./evidence.ts";
import { explainPostgresError, hasCode, INSUFFICIENT_PRIVILEGE } from "./explain-error.ts";
import { explainRefusal, findMissingGrants } from "./grants.ts";
import { createSourceInspector } from "./inspection/inspect.ts";
import { createOverviewStore } from "./inspection/model-overview.ts";
import { createInterventionStore } from "./interventions.ts";
import { findPendingMigrations, migrate, type MigrateOptions } from "./migrate.ts";
import { createModelGaugeStore } from "./model-gauges.ts";
import { createModelStateStore } from "./model-states.ts";
import { createModelVersionStore } from "./model-versions.ts";
import { createOutcomeStore } from "./outcomes.ts";
import { createOutcomeViews } from "./outcome-view.ts";
import { createCheckHistory } from "./pages/check-history.ts";
import { createDecisionTrail } from "./pages/decision-trail.ts";
import { createEventLog } from "./pages/event-log.ts";
import { createModelHistory } from "./pages/model-history.ts";
import { createStandingStore } from "./pages/standings.ts";
import { createTrainingLog } from "./pages/training-log.ts";
import { createPastStore } from "./past/read-past.ts";
import { createParityStore } from "./parity-rows.ts";
import { createPool } from "./pool.ts";
import { createPruneStore } from "./prune/prune.ts";
import { createReportStore } from "./reports.ts";
import { createRequestStore } from "./requests.ts";
import { createDatasetStore } from "./source-datasets.ts";
import { createShadowLog } from "./shadow-log.ts";
import { createSourcePools } from "./source-pools.ts";
import { createTokenStore } from "./tokens.ts";
import { createVerificationStore } from "./verification.ts";

/** All access to Postgres. Every error says where it happened, why, and what to do. */
export type Database = ReturnType<typeof createDatabase>;

export interface DatabaseOptions {
  databaseUrl: string;
  /** The schema of our tables; the search path of the connection leads to them if there is none. */
  databaseSchema?: string | undefined;
  /** Connections at most; 10 by default. */
  databasePoolMax?: number;
  timing: { lostAfterMs: number };
  /** IANA zone of timestamps without one. */
  timeZone: string;
  /** Evidence older than this, by the database's clock, is not acted on. */
  evidenceMaxAgeSeconds: number;
}

export function createDatabase(
  {
    databaseUrl,
    databaseSchema,
    databasePoolMax = 10,
    timing,
    timeZone,
    evidenceMaxAgeSeconds,
  }: DatabaseOptions,
  log: Logger,
) {
  const pool = createPool(databaseUrl, log, { schema: databaseSchema, max: databasePoolMax });
  const options = {
    pool,
    databaseUrl,
    sourcePools: createSourcePools(log),
    databaseSchema,
    upkeep: createUpkeep({ databaseUrl, databaseSchema }, log),
    timeZone,
    evidenceMaxAgeSeconds,
    flightLimitSeconds: computeFlightLimitMs(timing.lostAfterMs) / 1000,
  };
  const methods = {
    ...createEventStore(options),
    ...createEvidenceStore(options),
    ...createReportStore(options),
    ...createSourceInspector(options),
    ...createOverviewStore(options),
    ...createDecisionStore(options),
    ...createDecisionLog(options),
    ...createDecisionExport(options),
    ...createDatasetStore(options),
    ...createShadowLog(options),
    ...createModelStateStore(options),
    ...createModelGaugeStore(options),
    ...createInterventionStore(options),
    ...createDispatchStore(options),
    ...createDispatchClaims(options),
    ...createDispatchLists(options),
    ...createOutcomeStore(options),
    ...createOutcomeViews(options),
    ...createModelVersionStore(options),
    ...createTokenStore(options),
    ...createAuditStore(options),
    ...createRequestStore(options),
    ...createChangeStore(options),
    ...createStandingStore(options),
    ...createModelHistory(options),
    ...createCheckHistory(options),
    ...createTrainingLog(options),
    ...createEventLog(options),
    ...createDecisionTrail(options),
    ...createPastStore(options),
    ...createParityStore(options),
    ...createPruneStore(options),
    ...createVerificationStore(options),
    ...createCounterStore(options),
    /** Checks that the database can be reached. */
    async ping(): Promise<void> {
      await pool.query("SELECT 1");
    },
    /** Which database this is, whatever its address: the same text for the same one. */
    async identify(): Promise<string> {
      return (await pool.query<{ identity: string }>(IDENTIFY)).rows[0]?.identity ?? "";
    },
    migrate: (migrateOptions?: MigrateOptions) => migrate(pool, databaseUrl, log, migrateOptions),
    findMissingGrants: () => findMissingGrants(pool),
    findPendingMigrations: () => findPendingMigrations(pool),
  };
  const state = createServerState("Postgres", log);
  const close = async (): Promise<void> => {
    await Promise.all([options.upkeep.close(), options.sourcePools.close(), pool.end()]);
  };
  return { ...observeCalls(methods, { pool, databaseUrl, state }), ownSchema: databaseSchema ?? null, close };
}

const IDENTIFY = `SELECT format('%s/%s', system_identifier, (SELECT oid FROM pg_database WHERE datname = current_database()))
  AS identity FROM pg_control_system()`;

type Methods = Record<string, (...args: never[]) => Promise<unknown>>;

/**
 * The same methods, with every error explained, and every result reported to the server state. A call that began before the
 * end of an outage may only then run into its limit: that is no second outage.
 */
function observeCalls<T extends Methods>(
  methods: T,
  { pool, databaseUrl, state }: { pool: Pool; databaseUrl: string; state: ServerState },
): T {
  let restoredAt = 0;
  const observed = Object.entries(methods).map(([name, method]) => {
    const call = async (...args: never[]): Promise<unknown> => {
      const startedAt = performance.now();
      try {
        const result = await method(...args);
        if (state.isAway()) restoredAt = performance.now();
        state.back("pool");
        return result;
      } catch (thrown) {
        const isRefused = hasCode(thrown, [INSUFFICIENT_PRIVILEGE]);
        const error = isRefused ? await explainRefusal(pool, thrown, databaseUrl) : thrown;
        const explained = explainPostgresError(error, databaseUrl);
        if (explained instanceof ServerAwayError && startedAt >= restoredAt) state.away("pool", explained);
        throw explained;
      }
    };
    return [name, call] as const;
  });
  return Object.fromEntries(observed) as T;
}
