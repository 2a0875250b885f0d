import type pg from "pg";
import { z } from "zod";
import { PermanentError } from "../core/errors.ts";
import { Evidence } from "../core/evidence.ts";
import { toMs } from "../core/duration.ts";
import { needsOf, type Policy } from "../core/policy.ts";
import type { Sources } from "../settings/sources.ts";
import { buildEvidenceSql, quoteTable, type SourceTables } from "./evidence-sql.ts";
import { hasCode } from "./explain-error.ts";
import { type Parameter, sendPrepared } from "./prepared.ts";

/** The tables that hold a model's evidence, and how far back drift checks count. */
export interface ModelSources {
  policy: Policy;
  source: Sources;
  /** Only a training of this trainer counts as an answer to an alert. */
  trainer: { name: string };
}

export interface EvidenceStoreOptions {
  pool: pg.Pool;
  /** How long after its last sign of life a training holds its model. */
  flightLimitSeconds: number;
  /** A training that has not been requested within this time never will be. */
  evidenceMaxAgeSeconds: number;
  /** IANA zone of `alert_date` and `decision_date` if they have none. */
  timeZone: string;
}

/** Counting ten million ratings takes about two seconds. A query that takes longer than this is cancelled. */
export const READING_LIMIT_MS = 115_000;

/** The columns of a table. */
export interface TableColumns {
  all: string[];
  /** Those that this user may read. */
  readable: string[];
}

/** Reads the source tables. */
export function createEvidenceStore(options: EvidenceStoreOptions) {
  const { pool } = options;
  /** Tables whose `alert_date` has a type, such as text, that must be converted before it can be compared with a time. */
  const unfilterable = new Set<string>();

  async function readSnapshot(model: string, sources: ModelSources, limitMs: number): Promise<unknown> {
    const tables = tablesOf(sources);
    const { driftAlertsTable: table } = tables;
    const execute = async (isFilterable: boolean): Promise<unknown> => {
      const sql = buildEvidenceSql(tables, isFilterable);
      const results = await sendPrepared(pool, sql, toParameters(model, sources, options), limitMs);
      return results.rows[0]?.["evidence"];
    };
    const isFilterable = !unfilterable.has(table);
    try {
      return await execute(isFilterable);
    } catch (error) {
      const hasNoOperator = hasCode(error, ["42883"]);
      if (!hasNoOperator || !isFilterable) throw error;
      unfilterable.add(table);
      return execute(false);
    }
  }

  return {
    /**
     * Reads all the evidence for a decision with one statement: one snapshot, one round trip. The database compares all
     * times, on its own clock.
     *
     * @param limitMs After this long the server cancels the query: TransientError READING_TOO_SLOW.
     */
    async fetchEvidence(model: string, sources: ModelSources, limitMs = READING_LIMIT_MS): Promise<Evidence> {
      const parsed = Evidence.safeParse(await readSnapshot(model, sources, limitMs));
      if (parsed.success) return parsed.data;
      throw new PermanentError(
        "SOURCE_DATA",
        `The source tables contain unexpected data: ${z.prettifyError(parsed.error)}. Check the types of their columns`,
      );
    },

    /** The columns of a table or view; null if it does not exist. */
    async listColumns(table: string): Promise<TableColumns | null> {
      const { rows } = await pool.query<{ name: string; isReadable: boolean }>(LIST_COLUMNS, [
        quoteTable(table),
      ]);
      if (rows.length === 0) return null;
      const names = (list: typeof rows): string[] => list.map(({ name }) => name);
      return { all: names(rows), readable: names(rows.filter(({ isReadable }) => isReadable)) };
    },
  };
}

function tablesOf({ source: { checks, buffer } }: ModelSources): SourceTables {
  if (checks.kind !== "table" || buffer.kind !== "table") throw new Error("TEMPORARY");
  return { driftAlertsTable: checks.table, ratingsBufferTable: buffer.table };
}

function toParameters(
  model: string,
  { policy, trainer }: ModelSources,
  { timeZone, flightLimitSeconds, evidenceMaxAgeSeconds }: EvidenceStoreOptions,
): Parameter[] {
  return [
    { type: "text", value: model },
    { type: "text", value: timeZone },
    { type: "text", value: trainer.name },
    { type: "integer", value: toMs(needsOf(policy).within) / 3_600_000 },
    { type: "integer", value: Math.ceil(flightLimitSeconds) },
    { type: "integer", value: evidenceMaxAgeSeconds },
  ];
}

const LIST_COLUMNS = `SELECT attname AS name, has_column_privilege(attrelid, attnum, 'SELECT') AS "isReadable"
     FROM pg_attribute WHERE attrelid = to_regclass($1) AND attnum > 0 AND NOT attisdropped`;
