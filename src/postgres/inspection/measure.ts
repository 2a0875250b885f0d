import pg from "pg";
import { messageOf } from "../../core/errors.ts";
import { describeConditions, valueOf, whereAll } from "../checks-sql.ts";
import { toInstant } from "../column-sql.ts";
import { hasCode, READ_ONLY } from "../explain-error.ts";
import { quoteName, quoteTable, type TableColumn } from "../source-columns.ts";
import type { SourcePart, SourceTable } from "../source-tables.ts";
import { LITERALS, queryWithin } from "./limited.ts";

/** A source as several models read it: the same table and columns, each with values of its own for the fixed conditions. */
export interface SharedSource {
  part: SourcePart;
  table: SourceTable<string>;
  /** The column with the number of rows that a row stands for; null if each stands for itself. */
  weight: TableColumn | null;
  /** Each model's values, in the order of the conditions of `table`. */
  models: readonly { model: string; values: readonly string[] }[];
}

/** The smallest and the largest value of a column with times: as read, as Unix seconds, or as the figure that the column has. */
export interface TimeRange {
  /** The column's key in the YAML file. */
  key: string;
  column: TableColumn;
  oldest: number | null;
  newest: number | null;
}

/** What was found in a source. */
export interface Measurement {
  /** Null if it took too long, and the planner has no estimate either. */
  rows: { count: number; isExact: boolean } | null;
  /** Empty if it took too long. */
  times: readonly TimeRange[];
  /** Why it could not be read; null if it could, or if it only took too long. */
  error: string | null;
}

export interface MeasureOptions {
  pool: pg.Pool;
  timeZone: string;
  /** How long a query may take, in milliseconds; 0 if there is no time left. */
  limitMs(): number;
}

const TIME_KEYS = ["checkedAt", "time", "ingestedAt"];

/** Estimating takes a query per model, so it is done only for so many. */
const MOST_ESTIMATED = 20;

/** Counts the rows of each model and finds their oldest and newest times, with one query if possible. */
export async function measure(
  source: SharedSource,
  options: MeasureOptions,
): Promise<Map<string, Measurement>> {
  const { models } = source;
  const limitMs = options.limitMs();
  if (limitMs === 0) return new Map(models.map(({ model }) => [model, UNKNOWN]));
  try {
    const rows = await queryWithin<MeasuredRow>(
      options.pool,
      limitMs,
      buildMeasuring(source, options.timeZone),
    );
    const found = new Map(rows.map((row) => [row.n, row]));
    return new Map(models.map(({ model }, n) => [model, toMeasurement(source, found.get(n))]));
  } catch (error) {
    if (isTooSlow(error)) return estimate(source, options);
    // A value that does not fit its column is the fault of one model.
    if (models.length > 1) {
      const middle = Math.floor(models.length / 2);
      const left = await measure({ ...source, models: models.slice(0, middle) }, options);
      const right = await measure({ ...source, models: models.slice(middle) }, options);
      return new Map([...left, ...right]);
    }
    const text = messageOf(error);
    const isWriting = hasCode(error, [READ_ONLY]);
    const failed = {
      rows: null,
      times: [],
      error: isWriting ? `reading it would write, and a view may only read: ${text}` : text,
    };
    return new Map(models.map(({ model }) => [model, failed]));
  }
}

const UNKNOWN: Measurement = { rows: null, times: [], error: null };

/** The number of a model, and the figures by the key of the column. */
type MeasuredRow = Record<string, number | null> & { n: number; rows: number };

function toMeasurement({ table }: SharedSource, row: MeasuredRow | undefined): Measurement {
  const times = timesOf(table).map(([key, column]) => ({
    key,
    column,
    oldest: toFinite(row?.[`oldest_${key}`]),
    newest: toFinite(row?.[`newest_${key}`]),
  }));
  return { rows: { count: row?.rows ?? 0, isExact: true }, times, error: null };
}

function toFinite(figure: number | null | undefined): number | null {
  return figure === null || figure === undefined || Number.isNaN(figure) ? null : figure;
}

function timesOf({ columns }: SourceTable<string>): [string, TableColumn][] {
  return TIME_KEYS.flatMap((key) => {
    const column = columns[key];
    return column ? [[key, column] as [string, TableColumn]] : [];
  });
}

function buildMeasuring({ table, weight, models }: SharedSource, timeZone: string): string {
  const zone = pg.escapeLiteral(timeZone);
  const figures = timesOf(table).flatMap(([key, column]) => [
    `${describeTime("min", column, zone)} AS "oldest_${key}"`,
    `${describeTime("max", column, zone)} AS "newest_${key}"`,
  ]);
  const rows = weight === null ? "count(*)" : `COALESCE(sum(${valueOf(weight)?.sql}), 0)`;
  const list = [`${rows}::float8 AS rows`, ...figures].join(", ");
  const from = `${quoteTable(table.table)} AS source`;
  if (table.where.length === 0) return `SELECT 0 AS n, ${list} FROM ${from}`;
  const values = models.map(
    ({ values: own }, n) => `(${[n, ...own.map((value) => pg.escapeLiteral(value))].join(", ")})`,
  );
  const names = table.where.map((_, index) => `v${index}`);
  const conditions = table.where.map(
    ({ column }, index) => `source.${quoteName(column.name)} = wanted.v${index}::${column.type}`,
  );
  return `SELECT wanted.n, ${list} FROM (VALUES ${values.join(", ")}) AS wanted (${["n", ...names].join(", ")})
JOIN ${from} ON ${conditions.join(" AND ")} GROUP BY wanted.n`;
}

/** A number as the column has it; any other time as Unix seconds. */
function describeTime(end: "min" | "max", column: TableColumn, zone: string): string {
  const sql = valueOf(column)?.sql ?? "NULL";
  switch (column.kind) {
    case "integer":
      return `${end}(${sql})::float8`;
    case "float":
    case "numeric":
      return `${end}(NULLIF(${sql}::float8, 'NaN'))`;
    case "text":
      return `extract(epoch FROM ${end}(${toInstant({ sql, kind: "text" }, zone)}))::float8`;
    default:
      return `extract(epoch FROM ${toInstant({ sql: `${end}(${sql})`, kind: column.kind }, zone)})::float8`;
  }
}

/** What the planner expects. It plans without reading the table. */
async function estimate(source: SharedSource, options: MeasureOptions): Promise<Map<string, Measurement>> {
  const { models, table } = source;
  const result = new Map<string, Measurement>();
  for (const { model, values } of models) {
    const limitMs = result.size < MOST_ESTIMATED ? options.limitMs() : 0;
    const where = table.where.map(({ column }, index) => ({ column, value: values[index] ?? "" }));
    const count = limitMs === 0 ? null : await planRows({ ...table, where }, { ...options, limitMs });
    result.set(model, { ...UNKNOWN, rows: count === null ? null : { count, isExact: false } });
  }
  return result;
}

async function planRows(
  table: SourceTable<string>,
  { pool, limitMs }: { pool: pg.Pool; limitMs: number },
): Promise<number | null> {
  const conditions = whereAll(describeConditions(table, LITERALS));
  const text = `EXPLAIN (FORMAT JSON) SELECT FROM ${quoteTable(table.table)} AS source ${conditions}`;
  try {
    const [row] = await queryWithin<{ "QUERY PLAN": { Plan: { "Plan Rows": number } }[] }>(
      pool,
      limitMs,
      text,
    );
    return row?.["QUERY PLAN"][0]?.Plan["Plan Rows"] ?? null;
  } catch (error) {
    // A locked table cannot be planned for either.
    if (isTooSlow(error)) return null;
    throw error;
  }
}

function isTooSlow(error: unknown): boolean {
  return hasCode(error, ["57014", "55P03"]) || messageOf(error).startsWith("Query read timeout");
}
