import type { ColumnKind } from "./source-columns.ts";

/** A value in a statement: an expression, and how it is read. */
export interface Value {
  sql: string;
  kind: ColumnKind;
  /** Its type is a domain, which has no operators of its own. */
  isDomain?: boolean;
}

/**
 * A value as an instant: one without a zone is in `zone`; a number is Unix seconds, or milliseconds if it is that
 * large.
 */
export function toInstant({ sql, kind }: Value, zone: string): string {
  switch (kind) {
    case "timestamptz":
      return sql;
    case "timestamp":
      return `(${sql} AT TIME ZONE ${zone})`;
    case "date":
      return `(${sql}::timestamp AT TIME ZONE ${zone})`;
    case "integer":
    case "float":
    case "numeric":
      return `to_timestamp(${toSeconds(`NULLIF(${sql}::float8, 'NaN')`)})`;
    case "text":
      return `(CASE WHEN ${sql} ~ ${HAS_OFFSET} THEN ${sql}::timestamptz
        ELSE ${sql}::timestamp AT TIME ZONE ${zone} END)`;
    case "boolean":
    case "other":
      throw new Error(`${sql} holds no times`);
    default:
      return kind satisfies never;
  }
}

/** Larger figures are milliseconds: as seconds, this is the year 5138. */
const LARGEST_SECONDS = "100000000000";

// The time of day comes first, because the end of 2026-11-28 looks like an offset too.
const HAS_OFFSET = String.raw`'\d:\d\d.*([zZ]|[+-]\d\d(:?\d\d)?)$'`;

function toSeconds(sql: string): string {
  return `(CASE WHEN abs(${sql}) > ${LARGEST_SECONDS} THEN ${sql} / 1000.0 ELSE ${sql} END)`;
}

/** An instant as Unix milliseconds. */
export function toMillis(instant: string): string {
  return `floor(extract(epoch FROM ${instant}) * 1000)::float8`;
}

/** A time as Unix seconds. */
export function toUnixSeconds(value: Value, zone: string): string {
  const isNumber = ["integer", "float", "numeric"].includes(value.kind);
  return isNumber ? toSeconds(value.sql) : `extract(epoch FROM ${toInstant(value, zone)})`;
}

/**
 * A condition that every row later than an instant meets, and that can use an index on the column; null if there is
 * none. The exact comparison has to follow.
 */
export function mayBeAfter({ sql, kind }: Value, instant: string): string | null {
  switch (kind) {
    case "timestamptz":
      return `${sql} > ${instant}`;
    case "timestamp":
      return `${sql} > (${instant} AT TIME ZONE 'UTC') - ${ZONE_MARGIN}`;
    case "date":
      return `${sql} > ((${instant} AT TIME ZONE 'UTC') - ${ZONE_MARGIN})::date`;
    case "integer":
      return isNumberAfter(sql, `floor(${toEpoch(instant)})::bigint`);
    case "float":
      return isNumberAfter(sql, `${toEpoch(instant)}::float8`);
    case "numeric":
      return isNumberAfter(sql, `${toEpoch(instant)}::numeric`);
    case "text":
    case "boolean":
    case "other":
      return null;
    default:
      return kind satisfies never;
  }
}

/**
 * A condition that always holds, and that Postgres removes when it plans the statement; but it accepts the statement
 * only if the column still has this type. Otherwise another type of time would be read silently, and wrongly.
 */
export function hasKind({ sql, kind, isDomain = false }: Value): string | null {
  const range = { timestamptz: "tstzrange", timestamp: "tsrange", date: "daterange" }[kind as string];
  return range === undefined || isDomain ? null : `(${sql} <@ NULL::${range}) IS NULL`;
}

/** No time zone is more than a day away from UTC. */
export const ZONE_MARGIN = "interval '2 days'";

function isNumberAfter(sql: string, seconds: string): string {
  return `(${sql} > ${seconds} AND ${sql} <= ${LARGEST_SECONDS} OR ${sql} > 1000 * ${seconds})`;
}

/** The instant as Unix seconds; a finite figure also for `-infinity`. */
function toEpoch(instant: string): string {
  return `GREATEST(extract(epoch FROM ${instant}), -1e15)`;
}

/** A figure; texts that are no numbers become NULL. */
export function toFigure(value: Value | null): string {
  if (value === null) return "NULL::float8";
  const { sql, kind } = value;
  return kind === "text" ? `(CASE WHEN ${sql} ~ ${IS_NUMBER} THEN ${sql}::float8 END)` : `${sql}::float8`;
}

/** A figure that JSON can hold; NULL for any other one. */
export function toFiniteFigure(value: Value | null): string {
  return `NULLIF(NULLIF(NULLIF(${toFigure(value)}, 'NaN'), 'Infinity'), '-Infinity')`;
}

const IS_NUMBER = String.raw`'^\s*[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d{1,2})?\s*$'`;

/** Whether a check triggered an alert; never NULL. */
export function toTriggered({ sql, kind }: Value): string {
  switch (kind) {
    case "boolean":
      return `COALESCE(${sql}, false)`;
    case "integer":
    case "float":
    case "numeric":
      return `COALESCE(${sql}::float8 NOT IN (0, 'NaN'), false)`;
    default:
      return `COALESCE(CASE lower(btrim(${sql})) WHEN '' THEN false WHEN '0.0' THEN false WHEN '1.0' THEN true
        ELSE btrim(${sql})::boolean END, false)`;
  }
}

/** An instant as identities have it, whatever the settings of the session. */
export function toInstantText(instant: string): string {
  return `to_char(${instant} AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"')`;
}

/** A time without a zone as identities have it: it stays the same if the zone in the settings is corrected. */
export function toWallClockText(time: string): string {
  return `rtrim(rtrim(to_char(${time}, 'YYYY-MM-DD HH24:MI:SS.US'), '0'), '.')`;
}
