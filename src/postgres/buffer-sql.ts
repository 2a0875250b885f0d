import { EVIDENCE_LIMITS } from "../core/evidence.ts";
import { describeConditions, type StatementPart, valueOf, whereAll } from "./checks-sql.ts";
import { hasKind, mayBeAfter, toInstant, toUnixSeconds } from "./column-sql.ts";
import type { Parameters } from "./parameters.ts";
import { quoteTable } from "./source-columns.ts";
import type { BufferTable } from "./source-tables.ts";

export interface BufferReading {
  /** The placeholder of the time zone of times that have none. */
  zone: string;
  /** The snapshot of the decision of the last successful training, or `-infinity`, as SQL. */
  lastTraining: string;
  /** Whether only rows that arrived since then count. */
  isSinceTraining: boolean;
  /** Whether to count the rows that arrived since then, and to add up how long they have waited. */
  growth: boolean;
  waiting: boolean;
}

/** Counts the buffer. The result is the `buffer` of the evidence, and in `fresh` what arrived since the last training. */
export function buildBuffer(
  table: BufferTable,
  reading: BufferReading,
  parameters: Parameters,
): StatementPart {
  const { zone, lastTraining, isSinceTraining } = reading;
  const { batches, texts } = EVIDENCE_LIMITS;
  const batch = valueOf(table.columns.batch);
  const time = valueOf(table.columns.time);
  const arrival = valueOf(table.columns.ingestedAt) ?? time;
  const weight = valueOf(table.weight ?? undefined)?.sql ?? null;
  const countRows = (filter = ""): string =>
    weight === null ? `count(*)${filter}` : `COALESCE(sum(${weight})${filter}, 0)`;
  const arrivedAt = arrival && toInstant(arrival, zone);
  const isFresh = `${arrivedAt ?? "NULL"} > ${lastTraining} AND ${arrivedAt ?? "NULL"} < 'infinity'`;
  const isGrowthRead = (reading.growth || reading.waiting) && arrivedAt !== null;
  const waited = `GREATEST(0, extract(epoch FROM now() - ${arrivedAt})::float8)${weight === null ? "" : ` * ${weight}`}`;
  const fresh = [
    `${countRows(` FILTER (WHERE ${isFresh})`)} AS fresh`,
    `count(${arrival?.sql ?? "NULL"}) AS timed`,
    reading.waiting ? `sum(${waited}) FILTER (WHERE ${isFresh}) AS waited` : "NULL::float8 AS waited",
  ];
  const conditions = [
    time && hasKind(time),
    isGrowthRead || isSinceTraining ? arrival && hasKind(arrival) : null,
    ...(isSinceTraining && arrival
      ? [mayBeAfter(arrival, lastTraining), `${arrivedAt} > ${lastTraining}`]
      : []),
    ...describeConditions(table, parameters),
  ];
  const seconds = (end: "earliest" | "latest"): string =>
    time === null ? "NULL" : toUnixSeconds({ sql: end, kind: time.kind }, zone);
  return {
    ctes: [
      `batches AS MATERIALIZED (
  SELECT ${batch ? `left(${batch.sql}::text, ${texts})` : "NULL::text"} AS batch, ${countRows()} AS ratings,
    min(${time?.sql ?? "NULL::float8"}) AS earliest, max(${time?.sql ?? "NULL::float8"}) AS latest${isGrowthRead ? `,\n    ${fresh.join(",\n    ")}` : ""}
  FROM ${quoteTable(table.table)} AS source
  ${whereAll(conditions)}
  ${batch ? `GROUP BY ${batch.sql}` : "HAVING count(*) > 0"}
)`,
      `latest_batches AS (
  SELECT * FROM batches ORDER BY latest DESC NULLS LAST, batch DESC LIMIT ${batches}
)`,
    ],
    json: `(SELECT json_build_object('size', COALESCE(sum(ratings), 0), 'batchCount', count(*),
    'fresh', ${isGrowthRead ? FRESH : "NULL::json"},
    'batches', COALESCE((SELECT json_agg(json_build_object(
        'batch', batch, 'ratings', ratings, 'earliestRating', ${seconds("earliest")}, 'latestRating', ${seconds("latest")})
        ORDER BY length(batch), batch) FROM latest_batches), '[]')) FROM batches)`,
  };
}

/** `timed`: the rows that have a time of arrival. */
const FRESH = `json_build_object('rows', COALESCE(sum(fresh), 0), 'timed', COALESCE(sum(timed), 0),
      'rowDays', COALESCE(sum(waited), 0) / 86400)`;
