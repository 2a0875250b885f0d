import { EVIDENCE_LIMITS } from "../core/evidence.ts";
import { describeConditions, type StatementPart, valueOf, whereAll } from "./checks-sql.ts";
import { hasKind, mayBeAfter, toInstant, toUnixSeconds } from "./column-sql.ts";
import { buildCounted } from "./counters/counted-sql.ts";
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
  /** Whether another database has the table; counters are in ours. */
  isRemote: boolean;
}

/**
 * Counts the buffer, or reads its counter if there is one that is sound when the statement runs. The result is the `buffer` of
 * the evidence, with what arrived since the last training as `fresh`. Only the rows themselves say when they arrived.
 */
export function buildBuffer(
  table: BufferTable,
  reading: BufferReading,
  parameters: Parameters,
): StatementPart {
  const { zone, lastTraining, isSinceTraining, isRemote } = reading;
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
  const weighted = weight === null ? "" : ` * ${weight}`;
  const waited = `GREATEST(0, extract(epoch FROM now() - ${arrivedAt})::float8)${weighted}`;
  const ends = time?.sql ?? "NULL::float8";
  const fresh = [
    `${countRows(` FILTER (WHERE ${isFresh})`)} AS fresh`,
    `count(${arrival?.sql ?? "NULL"}) AS timed`,
    reading.waiting ? `sum(${waited}) FILTER (WHERE ${isFresh}) AS waited` : "NULL::float8 AS waited",
  ];
  const figures = [`min(${ends}) AS earliest`, `max(${ends}) AS latest`, ...(isGrowthRead ? fresh : [])];
  const counted = isRemote || isSinceTraining || isGrowthRead ? null : buildCounted(table, parameters);
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
      `${counted ? "counted_rows" : "batches"} AS MATERIALIZED (
  SELECT ${batch ? `left(${batch.sql}::text, ${texts})` : "NULL::text"} AS batch, ${countRows()} AS ratings,
    ${figures.join(",\n    ")}
  FROM ${quoteTable(table.table)} AS source
  ${whereAll(conditions)}
  ${batch ? `GROUP BY ${batch.sql}` : "HAVING count(*) > 0"}
)`,
      ...(counted
        ? [
            ...counted.ctes,
            // In a part of its own, the count is not even begun, by no parallel worker either, if the counter is used.
            `batches AS MATERIALIZED (
  SELECT * FROM counted_rows WHERE NOT ${counted.isUsed} UNION ALL ${counted.select}
)`,
          ]
        : []),
      `latest_batches AS (
  SELECT * FROM batches ORDER BY latest DESC NULLS LAST, batch DESC LIMIT ${batches}
)`,
    ],
    json: `(SELECT json_build_object('size', COALESCE(sum(ratings), 0), 'batchCount', count(*),
    'fresh', ${isGrowthRead ? FRESH : "NULL::json"},
    'counter', ${counted?.json ?? "NULL::json"},
    'batches', COALESCE((SELECT json_agg(json_build_object(
        'batch', batch, 'ratings', ratings, 'earliestRating', ${seconds("earliest")},
        'latestRating', ${seconds("latest")})
        ORDER BY length(batch), batch) FROM latest_batches), '[]')) FROM batches)`,
  };
}

/** `timed`: the rows that have a time of arrival. */
const FRESH = `json_build_object('rows', COALESCE(sum(fresh), 0), 'timed', COALESCE(sum(timed), 0),
      'rowDays', COALESCE(sum(waited), 0) / 86400)`;
