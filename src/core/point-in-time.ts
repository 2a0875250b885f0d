import { z } from "zod";
import { type Duration, duration, toMs } from "./duration.ts";

/** A time as users write it: an age by the database's clock, or an instant. */
export type PointInTime = { ago: Duration; at: null } | { ago: null; at: string };

const DATE = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d)?)?$/;
/** A time without a zone, which is in UTC. */
const ZONELESS = /T[^Z+-]*$/;
const POINT_EXPECTED =
  "expected an age such as 90d, a date such as 2026-01-01 or a time such as 2026-01-01T06:00:00Z";

/** Parses `90d`, `2026-01-01` (its start, UTC) or `2026-01-01T06:00:00Z` (UTC without a zone). */
export const PointInTime = z.string({ error: POINT_EXPECTED }).transform((text, context): PointInTime => {
  const age = duration().safeParse(text);
  if (age.success) return { ago: age.data, at: null };
  const time = DATE.test(text) ? Date.parse(ZONELESS.test(text) ? `${text}Z` : text) : Number.NaN;
  // Date.parse takes February 30 for March 2.
  const isDay = !Number.isNaN(time) && Number(text.slice(8, 10)) <= daysIn(text);
  if (isDay) return { ago: null, at: new Date(time).toISOString() };
  context.issues.push({ code: "custom", message: POINT_EXPECTED, input: text });
  return z.NEVER;
});

/** The instant, ISO 8601, of a point; an age counts back from `now`. */
export function toIsoTime({ ago, at }: PointInTime, now: number): string {
  return ago === null ? at : new Date(now - toMs(ago)).toISOString();
}

function daysIn(date: string): number {
  return new Date(Date.UTC(Number(date.slice(0, 4)), Number(date.slice(5, 7)), 0)).getUTCDate();
}
