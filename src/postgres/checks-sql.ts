import { EVIDENCE_LIMITS } from "../core/evidence.ts";
import {
  hasKind,
  mayBeAfter,
  toFigure,
  toInstant,
  toInstantText,
  toTriggered,
  toWallClockText,
  type Value,
} from "./column-sql.ts";
import type { Parameters } from "./parameters.ts";
import { quoteName, quoteTable, type TableColumn } from "./source-columns.ts";
import type { ChecksTable, SourceTable } from "./source-tables.ts";

/**
 * A check that is dated later has a wrong time, and would be the newest for years. It counts where alerts are only counted, as
 * in the guide; where the order of checks matters, it does not.
 */
export const LATEST_TIME = "(now() + interval '1 day')";

export interface ChecksReading {
  /** The placeholder of the time zone of times that have none. */
  zone: string;
  /**
   * Placeholders of how far back checks count, in seconds, and, if checks without an alert are read too, of how far
   * back these go.
   */
  within: string;
  reach: string | null;
  /** Whether a decision records the checks without an alert too. */
  weighsScores: boolean;
  /** Whether another database will read them, which need not sort by a type of this one. */
  isRemote: boolean;
  /** Stands before the names of the parts, so that two readings can be parts of one statement. */
  prefix: string;
  /** The part that already has the rows, as `scanChecks` made it; null to read the table. */
  scanned: string | null;
}

/** Named parts of a statement, and an expression of its result. */
export interface StatementPart {
  ctes: string[];
  json: string;
}

/**
 * Reads the drift checks: `checks` has those of the window, `weighed` those that a policy may weigh, with the names
 * that decisions recorded them under. The result is the `checks` of the evidence.
 */
export function buildChecks(
  table: ChecksTable,
  reading: ChecksReading,
  parameters: Parameters,
): StatementPart {
  const { zone, within, reach, weighsScores, isRemote, prefix, scanned } = reading;
  const { checks: limit, texts } = EVIDENCE_LIMITS;
  const { columns } = table;
  const checkedAt = timeColumn(table);
  const isRecent = reach === null ? "true" : "is_recent";
  const start = `(now() - make_interval(secs => ${reach ?? within}))`;
  // Ids may repeat, and need not exist.
  const order = "checked_at DESC, tie DESC";
  const rank = isRemote ? "row_number() OVER (ORDER BY checked_at, tie)" : "tie";
  const identity = describeIdentity(checkedAt, zone);
  const listed =
    reach === null
      ? `${prefix}newest_alerts`
      : `${prefix}series UNION ALL SELECT * FROM ${prefix}older_alerts UNION ALL SELECT * FROM ${prefix}older_moments`;
  const figure = (name: "score" | "threshold" | "samples"): string =>
    toFigure(columns[name] ? { sql: name, kind: columns[name].kind } : null);
  const list = (condition: string): string => `COALESCE((SELECT json_agg(json_build_object(
      'id', (${identity})[1], 'checkedAt', checked_at, 'feature', left(feature::text, ${texts}),
      'score', ${figure("score")}, 'threshold', ${figure("threshold")}, 'triggered', triggered,
      'notes', left(notes::text, ${texts})) ORDER BY ${order})
    FROM (SELECT * FROM ${prefix}checks WHERE ${condition} ORDER BY ${order} LIMIT ${limit}) AS newest), '[]')`;
  return {
    ctes: [
      `${prefix}checks AS MATERIALIZED (
  SELECT *${reach === null ? "" : `, checked_at > now() - make_interval(secs => ${within}) AS is_recent`}
  FROM ${scanned ?? `(${selectRows(table, { zone, start }, parameters)})`} AS source
  WHERE checked_at > ${start}${reach === null ? "" : ` AND checked_at < ${LATEST_TIME}`}
)`,
      ...(reach === null ? [selectAlerts(order, prefix)] : selectSeries(order, weighsScores, prefix)),
      `${prefix}weighed AS MATERIALIZED (
  SELECT ${identity} AS names, checked_at, ${rank} AS tie, left(feature::text, ${texts}) AS feature,
    ${figure("score")} AS score, ${figure("threshold")} AS threshold, ${figure("samples")} AS samples,
    triggered, is_recorded, has_gap
  FROM (SELECT * FROM ${listed}) AS listed
)`,
    ],
    json: `(SELECT json_build_object('total', count(*), 'triggered', count(*) FILTER (WHERE triggered),
    'unread', ${reach === null ? 0 : `(SELECT count(*) FROM ${prefix}checks) - (SELECT count(*) FROM ${prefix}weighed)`},
    'runsFrom', ${reach === null ? "NULL" : selectRunsFrom(prefix)},
    'newest', ${list(isRecent)},
    'newestTriggered', ${list(`triggered AND ${isRecent}`)}) FROM ${prefix}checks WHERE ${isRecent})`,
  };
}

/** Reads the checks once for two readings. @param start Since when, as SQL. */
export function scanChecks(
  table: ChecksTable,
  source: { zone: string; start: string },
  parameters: Parameters,
): string {
  return `scanned AS MATERIALIZED (${selectRows(table, source, parameters)})`;
}

function selectRows(
  table: ChecksTable,
  { zone, start }: { zone: string; start: string },
  parameters: Parameters,
): string {
  const { columns } = table;
  const checkedAt = timeColumn(table);
  return `
    SELECT ${describeTie(table)} AS tie, ${sqlOf(columns.feature)} AS feature, ${sqlOf(columns.score)} AS score,
      ${sqlOf(columns.threshold)} AS threshold, ${sqlOf(columns.samples)} AS samples, ${sqlOf(columns.notes)} AS notes,
      ${checkedAt.sql} AS own_time, ${toInstant(checkedAt, zone)} AS checked_at, ${describeTriggered(table)} AS triggered
    FROM ${quoteTable(table.table)} AS source
    ${whereAll([hasKind(checkedAt), mayBeAfter(checkedAt, start), ...describeConditions(table, parameters)])}
  `;
}

function timeColumn(table: ChecksTable): Value {
  const checkedAt = valueOf(table.columns.checkedAt);
  if (checkedAt === null) throw new Error(`${table.table} has no column with the time of a check`);
  return checkedAt;
}

/** The newest alerts. */
function selectAlerts(order: string, prefix: string): string {
  return `${prefix}newest_alerts AS (
  SELECT *, true AS is_recorded, false AS has_gap FROM ${prefix}checks WHERE triggered
  ORDER BY ${order} LIMIT ${EVIDENCE_LIMITS.weighed}
)`;
}

/**
 * The newest checks of each feature without a gap, as many of one feature as of another: a few chatty features do not push
 * the others out. Of those that are left, the newest alerts, and for each of the newest seconds a check, an alert if there is
 * one: so that drift runs can be told apart.
 */
function selectSeries(order: string, weighsScores: boolean, prefix: string): string[] {
  const { weighed, series, texts } = EVIDENCE_LIMITS;
  const isRecorded = weighsScores ? "is_recent" : "triggered AND is_recent";
  return [
    `${prefix}ranked AS (
  SELECT *, row_number() OVER (PARTITION BY name ORDER BY ${order}) AS nth
  FROM (SELECT *, COALESCE(left(feature::text, ${texts}), '') AS name FROM ${prefix}checks) AS named
)`,
    `${prefix}series AS MATERIALIZED (
  SELECT *, ${isRecorded} AS is_recorded, false AS has_gap FROM ${prefix}ranked WHERE nth <= ${series}
  ORDER BY nth, ${order} LIMIT ${series}
)`,
    `${prefix}older_alerts AS (
  SELECT *, true, true FROM ${prefix}ranked
  WHERE triggered AND is_recent AND (name, nth) NOT IN (SELECT name, nth FROM ${prefix}series)
  ORDER BY ${order} LIMIT ${weighed}
)`,
    // What counts is recorded: an alert that no decision has on record would call for a training for ever.
    `${prefix}moments AS MATERIALIZED (
  SELECT DISTINCT ON (date_trunc('second', checked_at)) * FROM ${prefix}ranked
  ORDER BY date_trunc('second', checked_at) DESC, triggered DESC, tie DESC LIMIT ${weighed}
)`,
    `${prefix}older_moments AS (
  SELECT *, triggered AND is_recent, true FROM ${prefix}moments
  WHERE (name, nth) NOT IN (SELECT name, nth FROM ${prefix}series UNION ALL SELECT name, nth FROM ${prefix}older_alerts)
)`,
  ];
}

/** The time from which on drift runs can be told apart; NULL if all can. */
function selectRunsFrom(prefix: string): string {
  return `(SELECT CASE WHEN count(*) >= ${EVIDENCE_LIMITS.weighed} THEN min(date_trunc('second', checked_at)) END FROM ${prefix}moments)`;
}

/** The columns of `weighed`, as JSON describes them to another database. */
export const WEIGHED_COLUMNS = `names text[], checked_at timestamptz, tie integer, feature text, score float8,
  threshold float8, samples float8, triggered boolean, is_recorded boolean, has_gap boolean, is_shadows boolean`;

/** A column of the table that is read under the name `source`; null if there is none. */
export function valueOf(column: TableColumn | undefined): Value | null {
  return column
    ? { sql: `source.${quoteName(column.name)}`, kind: column.kind, isDomain: column.isDomain }
    : null;
}

function sqlOf(column: TableColumn | undefined): string {
  return valueOf(column)?.sql ?? "NULL::text";
}

/** The fixed conditions of a source, each compared by its column's type. */
export function describeConditions({ where }: SourceTable<string>, parameters: Parameters): string[] {
  return where.map(({ column, value }) => `${sqlOf(column)} = ${parameters.text(value)}::${column.type}`);
}

export function whereAll(conditions: readonly (string | null)[]): string {
  const list = conditions.filter((condition) => condition !== null);
  return list.length === 0 ? "" : `WHERE ${list.join(" AND ")}`;
}

export function describeTriggered({ columns }: ChecksTable): string {
  const triggered = valueOf(columns.triggered);
  if (triggered !== null) return toTriggered(triggered);
  const score = toFigure(valueOf(columns.score));
  // Postgres sorts NaN above every number.
  return `COALESCE(${score} > ${toFigure(valueOf(columns.threshold))} AND ${score} <> 'NaN', false)`;
}

/** The feature of a check, as evidence has it. */
export function describeFeature({ columns }: ChecksTable): string {
  return `left(${sqlOf(columns.feature)}::text, ${EVIDENCE_LIMITS.texts})`;
}

/** What tells checks of the same time apart: the id, or the feature if there is none. */
export function describeTie(table: ChecksTable): string {
  const { id } = table.columns;
  return id ? sqlOf(id) : describeFeature(table);
}

/**
 * The identity of a check, independent of the session's settings, as the first of its names: its id, or its feature if
 * it has none, and its time, because ids restart if a table is cleared, and may be NULL in a view. A column with a
 * zone gives the instant; one without gives the local time. The other names are those under which it was recorded if
 * the column had another type then, or, by an earlier version, as the session printed it.
 */
export function describeIdentity({ kind }: Value, zone: string): string {
  const instant = toInstantText("checked_at");
  const hasZone = ["timestamptz", "integer", "float", "numeric"].includes(kind);
  const own = hasZone ? instant : toWallClockText("own_time::timestamp");
  const names = [
    `COALESCE(${own}, checked_at::text)`,
    instant,
    toWallClockText(`checked_at AT TIME ZONE ${zone}`),
    "own_time::text",
  ];
  return `ARRAY[${names.map((name) => `COALESCE(tie::text, '') || '@' || ${name}`).join(",\n    ")}]`;
}
