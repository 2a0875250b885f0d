import { InvalidArgumentError } from "commander";
import { IsoTime, toInstant } from "../../queues/jobs.ts";
import { duration, toMs } from "../core/duration.ts";

/**
 * Parses a date, a time (in UTC without a zone) or an age such as 30d, and returns it as ISO 8601.
 * @throws InvalidArgumentError, which commander reports.
 */
export function parseTime(text: string): string {
  const age = duration().safeParse(text);
  if (age.success) return new Date(Date.now() - toMs(age.data)).toISOString();
  const time = IsoTime.safeParse(/^\d{4}-\d\d-\d\d$/.test(text) ? `${text}T00:00:00Z` : text);
  if (time.success) return toInstant(time.data).toISOString();
  throw new InvalidArgumentError(
    "Must be a date such as 2026-11-23, a time such as 2026-11-23T06:00:00Z or an age such as 30d.",
  );
}
