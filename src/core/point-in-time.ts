import { z } from "zod";
import { type Duration, duration } from "./duration.ts";

/** A time as users write it: an age by the database's clock, or an instant. */
export type PointInTime = { ago: Duration; at: null } | { ago: null; at: string };

const DATE = /^\d{4}-\d\d-\d\d(T\d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:\d\d))?$/;
const POINT_EXPECTED = "expected an age such as 90d, or a date such as 2026-01-01";

/** Parses `90d`, `2026-01-01` (its start, UTC) or `2026-01-01T06:00:00Z`. */
export const PointInTime = z.string({ error: POINT_EXPECTED }).transform((text, context): PointInTime => {
  const age = duration().safeParse(text);
  if (age.success) return { ago: age.data, at: null };
  const time = DATE.test(text) ? Date.parse(text) : Number.NaN;
  // Date.parse takes February 30 for March 2.
  const isDay = !Number.isNaN(time) && Number(text.slice(8, 10)) <= daysIn(text);
  if (isDay) return { ago: null, at: new Date(time).toISOString() };
  context.issues.push({ code: "custom", message: POINT_EXPECTED, input: text });
  return z.NEVER;
});

function daysIn(date: string): number {
  return new Date(Date.UTC(Number(date.slice(0, 4)), Number(date.slice(5, 7)), 0)).getUTCDate();
}
