import { EVIDENCE_LIMITS } from "../../core/evidence.ts";
import {
  describeConditions,
  describeFeature,
  describeIdentity,
  describeTie,
  describeTriggered,
  LATEST_TIME,
  valueOf,
  whereAll,
} from "../checks-sql.ts";
import { hasKind, mayBeAfter, toFiniteFigure, toInstant, toMillis } from "../column-sql.ts";
import { createParameters, type Statement } from "../parameters.ts";
import { quoteTable } from "../source-columns.ts";
import type { BufferTable, ChecksTable } from "../source-tables.ts";

/** A replay holds the checks in memory. */
export const MOST_CHECKS = 200_000;
/** So many moments of arrival are told apart. */
export const MOST_ARRIVALS = 100_000;

interface Reading {
  /** Unix milliseconds. */
  from: number;
  timeZone: string;
  /** Whether the table is Retrigger's own, which knows when each row was received. */
  isReported: boolean;
}

/** Selects the checks since a time, in the order in which they could be seen. */
export function selectPastChecks(table: ChecksTable, { from, timeZone, isReported }: Reading): Statement {
  const parameters = createParameters();
  const checkedAt = valueOf(table.columns.checkedAt);
  if (checkedAt === null) throw new Error(`${table.table} has no column with the time of a check`);
  const zone = parameters.text(timeZone);
  const start = `${parameters.text(new Date(from).toISOString())}::timestamptz`;
  const { columns } = table;
  const figure = (name: "score" | "threshold" | "samples"): string => toFiniteFigure(valueOf(columns[name]));
  const text = `SELECT ${describeIdentity(checkedAt, zone)} AS names, ${toMillis("checked_at")} AS at,
  ${toMillis("GREATEST(seen_at, checked_at)")} AS "seenAt", feature, score, threshold, triggered, samples
FROM (
  SELECT ${describeTie(table)} AS tie, ${checkedAt.sql} AS own_time, ${toInstant(checkedAt, zone)} AS checked_at,
    ${isReported ? "source.received_at" : "NULL::timestamptz"} AS seen_at, ${describeFeature(table)} AS feature,
    ${figure("score")} AS score, ${figure("threshold")} AS threshold, ${figure("samples")} AS samples,
    ${describeTriggered(table)} AS triggered
  FROM ${quoteTable(table.table)} AS source
  ${whereAll([hasKind(checkedAt), mayBeAfter(checkedAt, start), ...describeConditions(table, parameters)])}
) AS source
WHERE checked_at > ${start} AND checked_at < ${LATEST_TIME}
ORDER BY GREATEST(seen_at, checked_at), tie LIMIT ${MOST_CHECKS + 1}`;
  return { text, parameters: parameters.list };
}

/**
 * Selects the rows of the buffer by when they arrived, to `stepMs`, rounded up. Rows without a time of arrival come by their batch,
 * with the newest time in it.
 */
export function selectArrivals(
  table: BufferTable,
  { timeZone, isReported }: Omit<Reading, "from">,
  stepMs: number,
): Statement {
  const parameters = createParameters();
  const zone = parameters.text(timeZone);
  const batch = valueOf(table.columns.batch);
  const time = valueOf(table.columns.time);
  const arrival = valueOf(table.columns.ingestedAt);
  const weight = valueOf(table.weight ?? undefined)?.sql ?? null;
  const ingested = arrival && toInstant(arrival, zone);
  // Reported rows count once they are received.
  const instant = isReported ? `GREATEST(${ingested}, source.received_at)` : ingested;
  const arrivedAt =
    instant === null
      ? "NULL::float8"
      : `CASE WHEN isfinite(${instant}) THEN ceil(${toMillis(instant)} / ${stepMs}) * ${stepMs} END`;
  const newest =
    time === null
      ? "NULL::float8"
      : toMillis(`NULLIF(NULLIF(${toInstant(time, zone)}, 'infinity'), '-infinity')`);
  const text = `SELECT at, CASE WHEN at IS NULL THEN batch END AS batch, max(newest) FILTER (WHERE at IS NULL) AS newest,
  ${weight === null ? "count(*)" : "COALESCE(sum(weight), 0)"}::float8 AS rows
FROM (
  SELECT ${arrivedAt} AS at, ${batch ? `left(${batch.sql}::text, ${EVIDENCE_LIMITS.texts})` : "NULL::text"} AS batch,
    ${newest} AS newest, ${weight ?? "1"} AS weight
  FROM ${quoteTable(table.table)} AS source
  ${whereAll([time && hasKind(time), arrival && hasKind(arrival), ...describeConditions(table, parameters)])}
) AS source
GROUP BY 1, 2 ORDER BY at LIMIT ${MOST_ARRIVALS + 1}`;
  return { text, parameters: parameters.list };
}
