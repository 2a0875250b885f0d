import { fault, type Finding, warning } from "../../core/finding.ts";
import type { TimeRange } from "../../postgres/inspection/measure.ts";

const DAY = 86_400;
const EARLIEST = Date.UTC(2000, 0, 1) / 1000;

/** Larger figures are read as milliseconds. */
const LARGEST_SECONDS = 1e11;

/** Finds times that hardly are what was meant: in the future, or before the year 2000. @param now Unix seconds. */
export function findImplausibleTimes(table: string, ranges: readonly TimeRange[], now: number): Finding[] {
  return ranges.flatMap((range) => {
    const isFuture = range.newest !== null && toSeconds(range.newest, range) > now + DAY;
    const isPast = range.oldest !== null && toSeconds(range.oldest, range) < EARLIEST;
    return [
      ...(isFuture ? [describeFuture(table, range, range.newest ?? 0, now)] : []),
      ...(isPast ? [describePast(table, range, range.oldest ?? 0, now)] : []),
    ];
  });
}

function isFigure({ column }: TimeRange): boolean {
  return ["integer", "float", "numeric"].includes(column.kind);
}

/** As Retrigger reads it. */
export function toSeconds(value: number, range: TimeRange): number {
  return isFigure(range) && Math.abs(value) > LARGEST_SECONDS ? value / 1000 : value;
}

function describeFuture(table: string, range: TimeRange, newest: number, now: number): Finding {
  const { column, key } = range;
  const text = `${column.name} of ${table} holds times in the future, up to ${describeValue(newest, range)}`;
  const remedy = guessUnit(newest, range, now) ?? "Correct these rows: they count as recent until then";
  // A check or a row from the future counts for years.
  return key === "time" ? warning(text, remedy) : fault(text, remedy);
}

function describePast(table: string, range: TimeRange, oldest: number, now: number): Finding {
  const text = `${range.column.name} of ${table} holds times before the year 2000, from ${describeValue(oldest, range)}`;
  const unit = guessUnit(oldest, range, now);
  const isZero = isFigure(range) && oldest === 0;
  return warning(
    text,
    unit ??
      (isZero
        ? "If 0 stands for an unknown time, let it be NULL"
        : "Correct these rows. If the times are real, ignore this"),
  );
}

/** The value as it stands there, and as it is read. */
function describeValue(value: number, range: TimeRange): string {
  const read = describeInstant(toSeconds(value, range));
  return isFigure(range) ? `${value}, read as ${read}` : read;
}

/** "2026-11-28 06:00 UTC", "58622-03-01", "infinity". */
export function describeInstant(seconds: number): string {
  const time = new Date(seconds * 1000);
  if (Number.isNaN(time.getTime())) return seconds < 0 ? "-infinity" : "infinity";
  const year = time.getUTCFullYear();
  if (year > 9999 || year < 0) return `the year ${year}`;
  return `${time.toISOString().slice(0, 16).replace("T", " ")} UTC`;
}

const UNITS = [
  { name: "milliseconds", perSecond: 1e3 },
  { name: "microseconds", perSecond: 1e6 },
  { name: "nanoseconds", perSecond: 1e9 },
  { name: "days", perSecond: 1 / DAY },
];

/** What to do if the times make sense in another unit. */
function guessUnit(value: number, range: TimeRange, now: number): string | null {
  const { name } = range.column;
  const unit = UNITS.find(({ perSecond }) => {
    const seconds = value / perSecond;
    return seconds >= EARLIEST && seconds <= now + 366 * DAY;
  });
  if (!unit) return null;
  const factor = unit.perSecond < 1 ? `* ${DAY}` : `/ ${unit.perSecond}.0`;
  return isFigure(range)
    ? `These look like ${unit.name}. Supply seconds, by a view with ${name} ${factor}`
    : `These look like ${unit.name} that were taken for seconds. Correct them where they are written, or by a view with to_timestamp(extract(epoch FROM ${name}) ${factor})`;
}
